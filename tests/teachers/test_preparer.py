"""Requests are made ready without holding up the event loop, and are told when their images are on file."""

import asyncio
import io
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vision_r1.core.errors import InputError
from vision_r1.problems.images import BytesImage, FileImage, Spill
from vision_r1.teachers import prepare
from vision_r1.teachers.chat import ChatRequest, Failure, encode_picture, picture_name
from vision_r1.teachers.prepare import Preparer, Ready
from vision_r1.teachers.request_log import RequestLog


def png(shade, size=(12, 8)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade % 256, shade // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def ask(*media, user="q"):
    return ChatRequest("m", user, media=media)


@pytest.fixture
def log(tmp_path):
    with RequestLog(tmp_path / "log.sqlite") as log:
        yield log


@pytest.fixture
def decoded(monkeypatch):
    """Which thread decoded each image, by its key."""
    found = {}

    def watched(media, *limits):
        picture = encode_picture(media, *limits)
        found[media.key] = threading.current_thread().name
        return picture

    monkeypatch.setattr(prepare, "encode_picture", watched)
    return found


def made(log, requests):
    """Outcomes of all, asked for together and stored; exceptions among them."""

    async def main():
        preparer = Preparer(log)

        async def stored(request):
            outcome = await preparer.ready(request)
            if isinstance(outcome, Ready) and outcome.stored is not None:
                await asyncio.wait([outcome.stored])
            return outcome

        try:
            return await asyncio.wait_for(asyncio.gather(*map(stored, requests), return_exceptions=True), 30)
        finally:
            await preparer.close()

    return asyncio.run(main())


def test_small_images_are_done_in_the_loop_and_others_in_threads(log, decoded, monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "_SLOW_SECONDS", 60)
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "b.png").write_bytes(png(6))
    seen = FileImage(tmp_path, "b.png", "row 6")
    seen.size = (12, 8)
    small = [BytesImage(png(2), "row 2"), Spill(tmp_path).keep(BytesImage(png(3), "row 3")), seen]
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    # A file of a few hundred bytes may hold any number of pixels.
    bomb = BytesImage(png(5, (2000, 500)), "row 5")
    assert bomb.file_bytes < 8000 < prepare._SMALL.file_bytes < len(buffer.getvalue())
    others = [FileImage(tmp_path, "a.png", "row 1"), BytesImage(buffer.getvalue(), "row 4"), bomb]
    (tmp_path / "c.png").write_bytes(png(8) + bytes(100_000))
    padded = FileImage(tmp_path, "c.png", "row 8")
    padded.size = (12, 8)
    others.append(padded)
    outcomes = made(log, [ask(each) for each in (*small, *others)])
    assert all(isinstance(outcome, Ready) for outcome in outcomes)
    assert {decoded[each.key] for each in small} == {"MainThread"}
    assert all(decoded[each.key].startswith("encode-image") for each in others)
    assert all(log.picture(picture_name(each)).data == each.read() for each in (*small, *others))


def test_files_of_a_slow_disk_are_read_in_threads(log, decoded, monkeypatch, tmp_path):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(prepare, "time", SimpleNamespace(monotonic=lambda: clock.now))
    slow = iter([True] + [False] * 29 + [True] * 10 + [False] * 20)
    images = []
    for i in range(60):
        (tmp_path / f"{i}.png").write_bytes(png(i))
        images.append(FileImage(tmp_path, f"{i}.png", f"row {i}"))
        images[-1].size = (12, 8)
    made = prepare._made_ready

    def waited(request, pictures):
        clock.now += 0.05 * next(slow)
        return made(request, pictures)

    monkeypatch.setattr(prepare, "_made_ready", waited)

    async def main():
        preparer = Preparer(log)
        for image in images:
            assert isinstance(await preparer.ready(ask(image)), Ready)
        await preparer.close()

    asyncio.run(main())
    places = [decoded[image.key] for image in images]
    # One hiccup is none yet; a disk that goes on being slow is.
    assert set(places[:30]) == {"MainThread"}
    assert all(name.startswith("encode-image") for name in places[42:])


def test_a_small_file_over_the_limit_of_its_row_is_refused(log):
    (found,) = made(log, [ask(BytesImage(png(1, (300, 300)), "row 7", max_pixels=80_000))])
    assert isinstance(found, Failure) and "more than max_pixels 80,000" in found.reason


def test_one_bad_image_fails_its_own_request_alone(log):
    good, bad = BytesImage(png(1), "row 1"), BytesImage(b"no image", "row 2")
    outcomes = made(log, [ask(good), ask(bad), ask(good, bad), ask(good, user="<image> <image>"), ask(good)])
    assert [type(outcome) for outcome in outcomes] == [Ready, Failure, Failure, Failure, Ready]


def test_others_have_their_turn_between_the_slices(log, monkeypatch, decoded):
    monkeypatch.setattr(prepare, "_BUNDLE_SECONDS", 0.0005)
    turns = []

    async def main():
        preparer = Preparer(log)
        waiting = [
            asyncio.create_task(preparer.ready(ask(BytesImage(png(i), f"row {i}")))) for i in range(200)
        ]
        while not all(task.done() for task in waiting):
            turns.append(len(decoded))
            await asyncio.sleep(0)
        await preparer.close()

    asyncio.run(main())
    assert len(set(turns)) > 3  # images were decoded between them, not all in one long slice


@pytest.mark.parametrize("place", ["memory", "file"])
def test_all_are_told_where_images_cannot_be_stored(log, monkeypatch, tmp_path, place):
    def full(pictures):
        raise InputError("the disk is full")

    monkeypatch.setattr(log, "keep", full)
    (tmp_path / "a.png").write_bytes(png(1))
    image = BytesImage(png(1), "row 1") if place == "memory" else FileImage(tmp_path, "a.png", "row 1")
    outcomes = made(log, [ask(image, user=str(i)) for i in range(5)])
    assert [str(outcome) for outcome in outcomes] == ["the disk is full"] * 5


class Slow:
    """`keep` of a log that waits to be let go on; `sizes` of what it was given."""

    def __init__(self, log, monkeypatch):
        self.go_on, self.sizes, self._keep = threading.Event(), [], log.keep
        monkeypatch.setattr(log, "keep", self)

    def __call__(self, pictures):
        self.sizes.append(sum(len(picture.data) for picture in pictures))
        assert self.go_on.wait(30)
        self._keep(pictures)


def test_a_request_does_not_wait_for_its_images_once_storing_works(log, monkeypatch):
    image, later = BytesImage(png(1), "row 1"), BytesImage(png(2), "row 2")

    async def main():
        preparer = Preparer(log)
        assert (await preparer.ready(ask(BytesImage(png(3), "row 3")))).stored.done()
        slow = Slow(log, monkeypatch)
        found = [await asyncio.wait_for(preparer.ready(ask(image)), 30)]
        found += [await asyncio.wait_for(preparer.ready(ask(later, user=str(i))), 30) for i in range(3)]
        assert not any(each.stored.done() for each in found)
        slow.go_on.set()
        await asyncio.wait_for(asyncio.wait({each.stored for each in found}), 30)
        await preparer.close()

    asyncio.run(main())
    assert all(log.picture(picture_name(each)).data == each.read() for each in (image, later))


def test_where_storing_fails_requests_wait_for_it_again(log, monkeypatch):
    kept, broken = log.keep, threading.Event()

    def keep(pictures):
        if broken.is_set():
            raise InputError("the disk is full")
        kept(pictures)

    monkeypatch.setattr(log, "keep", keep)

    async def main():
        preparer = Preparer(log)
        await preparer.ready(ask(BytesImage(png(1), "row 1")))
        broken.set()
        gone = await preparer.ready(ask(BytesImage(png(2), "row 2")))
        await asyncio.wait([gone.stored])
        with pytest.raises(InputError, match="full"):
            gone.check()
        with pytest.raises(InputError, match="full"):
            await preparer.ready(ask(BytesImage(png(3), "row 3")))
        broken.clear()
        assert (await preparer.ready(ask(BytesImage(png(4), "row 4")))).stored.done()
        await preparer.close()

    asyncio.run(main())


def test_what_is_stored_together_has_a_limit(log, monkeypatch):
    monkeypatch.setattr(prepare, "_SHELF_BYTES", 300)
    images = [BytesImage(png(i), f"row {i}") for i in range(20)]

    async def main():
        preparer = Preparer(log)
        await preparer.ready(ask(BytesImage(png(99), "row 99")))
        slow = Slow(log, monkeypatch)
        await asyncio.wait_for(asyncio.gather(*(preparer.ready(ask(each)) for each in images)), 30)
        slow.go_on.set()
        await preparer.close()
        return slow.sizes

    sizes = asyncio.run(main())
    assert sum(sizes) == sum(image.file_bytes for image in images) and max(sizes) < sum(sizes)
    assert all(log.picture(picture_name(each)) is not None for each in images)


def test_who_gave_up_holds_up_nobody(log):
    async def main():
        preparer = Preparer(log)
        tasks = [asyncio.create_task(preparer.ready(ask(BytesImage(png(i), "row")))) for i in range(6)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[3].cancel()
        found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        await preparer.close()
        return [isinstance(each, Ready) for each in found]

    assert asyncio.run(main()) == [False, True, True, False, True, True]


def test_closing_waits_for_what_is_to_be_stored(log, monkeypatch):
    images = [BytesImage(png(i), f"row {i}") for i in (1, 2)]

    async def main():
        faults = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        preparer = Preparer(log)
        await preparer.ready(ask(BytesImage(png(3), "row 3")))
        slow = Slow(log, monkeypatch)
        found = [await preparer.ready(ask(image)) for image in images]
        threading.Timer(0.05, slow.go_on.set).start()
        await asyncio.wait_for(preparer.close(), 30)
        assert all(each.stored.done() for each in found)
        await asyncio.sleep(0.01)
        return faults

    assert asyncio.run(main()) == []
    assert all(log.picture(picture_name(each)) is not None for each in images)
