"""`images/`: the pictures of a construction, each kept once under a name made from its content."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import threading
from pathlib import Path

from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.core.files import reported_writes
from vision_r1.problems.decode import plain_format
from vision_r1.problems.problem import Media
from vision_r1.teachers.chat import encode_picture

# What `keep` gives; anything else in a table of rows is no name of ours and is never opened.
_NAME = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})\.(png|jpeg|webp|gif)")
_SUFFIXES = ("png", "jpeg", "webp", "gif")


def is_image_name(name: str) -> bool:
    """Whether `name` can be a file of a store: "ab/ab12....png"."""
    return _NAME.fullmatch(name) is not None


class ImageStore:
    """A folder of images, `HH/HASH.SUFFIX`, where HASH names the content and HH is how it begins.

    An image file that shows what its media loads as is kept with its own bytes and named by their
    SHA-256; anything else (drawn images, BMP, animations, turned or transparent ones) becomes a PNG
    named by its pixels, for encoders differ between versions. Several threads may keep images at once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, str] = {}

    def keep(self, media: Media) -> str:
        """Store an image unless it is there already.

        Returns:
            Its name below the folder.

        Raises:
            InputError: the image cannot be read, or the disk is full.
        """
        key = media.key
        name = self._known.get(key) or self._stored(media)
        if name is None:
            name = self._add(media)
            if key not in name:
                self._known[key] = name
        return name

    def path(self, name: str) -> Path:
        """The file of a name. Raises InputError where `name` cannot be one of a store."""
        if not is_image_name(name):
            raise InputError(
                f"{name[:80]!r} is no name of a kept image", where=str(self.root), fix="run construct again"
            )
        return self.root / name

    def read(self, name: str) -> bytes:
        """The bytes of an image. Raises InputError where it is not there."""
        try:
            return self.path(name).read_bytes()
        except OSError as error:
            raise self._absent(name, error) from None

    def take(self, other: ImageStore, name: str) -> None:
        """Have an image of another store: as a hard link where that is possible, else as a copy."""
        source, target = other.path(name), self.path(name)
        with reported_writes(self.root):
            try:
                _link_or_copy(source, target)
            except FileNotFoundError as error:
                raise self._absent(name, error) from None

    def _absent(self, name: str, error: OSError) -> InputError:
        detail = error.strerror or type(error).__name__
        what = f"image {name} cannot be read: {detail}"
        return InputError(what, where=str(self.root), fix="run construct again")

    def _stored(self, media: Media) -> str | None:
        """The name of an image file that is kept already with its own bytes; nothing is read."""
        if not hasattr(media, "read"):
            return None
        key = media.key
        names = (f"{key[:2]}/{key}.{suffix}" for suffix in _SUFFIXES)
        return next((name for name in names if is_image_name(name) and _whole(self.root / name)), None)

    def _add(self, media: Media) -> str:
        read = getattr(media, "read", None)
        data: bytes = b"" if read is None else read()
        suffix = plain_format(data)
        if suffix:
            digest = hashlib.sha256(data).hexdigest()
        else:
            picture = encode_picture(media)
            image = Image.open(io.BytesIO(picture.data))
            digest = hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest()
            suffix, data = picture.suffix, picture.data
        name = f"{digest[:2]}/{digest}.{suffix}"
        # Under the media's own key it was looked for just now.
        if digest == media.key or not _whole(self.root / name):
            with reported_writes(self.root):
                self._write(self.root / name, data)
        return name

    def _write(self, path: Path, data: bytes) -> None:
        # One name a thread: what a kill leaves is overwritten by the next run, not heaped up.
        scratch = path.with_name(f".{path.stem}.{threading.get_ident()}.tmp")
        try:
            try:
                scratch.write_bytes(data)
            except FileNotFoundError:  # the first of its folder
                path.parent.mkdir(parents=True, exist_ok=True)
                scratch.write_bytes(data)
            os.replace(scratch, path)
        except BaseException:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise


def _whole(path: Path) -> bool:
    """Whether a file is there with content: a machine that lost power may leave an empty one."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _link_or_copy(source: Path, target: Path) -> None:
    """Have `source` at `target` too, whole or not at all. FileNotFoundError where there is no `source`."""
    try:
        os.link(source, target)
        return
    except FileExistsError:
        if _whole(target):
            return
    except OSError:  # the first of its folder, another disk, or a file system without links
        target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.stem}.{threading.get_ident()}.tmp")
    scratch.unlink(missing_ok=True)
    try:
        os.link(source, scratch)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, scratch)
    os.replace(scratch, target)
