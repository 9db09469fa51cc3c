"""Images are decoded once, and in the next run not at all."""

import os
import random
import sqlite3

import pytest
from data_files import png
from hypothesis import given, settings
from hypothesis import strategies as st

from seen_images import picture, unread
from vision_r1.problems import Problem, decode
from vision_r1.problems.decode import plain_format
from vision_r1.problems.drawing import SceneImage
from vision_r1.problems.fingerprints import fingerprint, look_of
from vision_r1.problems.image_checks import image_faults
from vision_r1.problems.images import BytesImage, FileImage, Spill
from vision_r1.problems.problem import content_key
from vision_r1.problems.seen import SeenImages

LIMIT = 40 * 40


FILES = {
    **{f"good{index}.png": picture(index) for index in range(6)},
    "copy.png": picture(0),
    "photo.jpg": picture(7, "JPEG"),
    "blank.png": png(size=(30, 30)),
    "cut.png": picture(8)[:-400],
    "text.png": b"no picture",
    "empty.png": b"",
    "large.png": png(size=(50, 50)),
}
NAMES = [*FILES, "none.png", "../out.png", "good0.png/x", "nul\0.png", "\ud800.png", "."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for name, data in FILES.items():
        (root / name).write_bytes(data)
    return root


def media(root, names):
    """The images of these names, each as a file, and where there is one as bytes of a table."""
    made = [FileImage(root, name, f"line {line}", LIMIT) for line, name in enumerate(names)]
    inside = [BytesImage(FILES[name], f"row {name}", LIMIT) for name in names if name in FILES]
    return made + inside


def look_at(notes, items, looks=True, said=None):
    with SeenImages(notes, looks, (said if said is not None else []).append) as known:
        verdicts = [plain(fault) for fault in known.faults(items)]
        return verdicts, dict(known.looks)


def plain(fault):
    return fault and (fault.what, fault.fix, fault.reason)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(NAMES), max_size=12))
def test_faults_keys_and_looks_are_those_of_decoding(folder, tmp_path_factory, names):
    notes = tmp_path_factory.mktemp("notes") / "seen.sqlite"
    expected = [plain(fault) for fault in image_faults(media(folder, names))]
    fresh, again = media(folder, names), media(folder, names)
    verdicts, looks = look_at(notes, fresh)
    assert verdicts == expected
    sizes = [None if fault else image.load().size for image, fault in zip(fresh, expected, strict=True)]
    assert [image.size for image in fresh] == sizes
    files = [
        "" if fault else plain_format(image.read()) for image, fault in zip(fresh, expected, strict=True)
    ]
    assert [image.plain for image in fresh] == files
    good = [image for image, fault in zip(media(folder, names), expected, strict=True) if fault is None]
    assert looks == {image.key: look_of(image.load()) for image in good}
    with pytest.MonkeyPatch.context() as patched:
        unread(patched)
        assert look_at(notes, again) == (verdicts, looks)
        assert [image.size for image in again] == sizes
        assert [image.plain for image in again] == files
        keys = [image.key for image, fault in zip(again, expected, strict=True) if fault is None]
    assert keys == [image.key for image in good]


def test_what_comes_after_reads_no_file_either(folder, tmp_path, monkeypatch):
    items = [FileImage(folder, name, "r", LIMIT) for name in ("good1.png", "copy.png", "good1.png")]
    problems = [Problem(str(index), "Which?", "1", (image,)) for index, image in enumerate(items)]
    expected = [content_key(problem) for problem in problems], fingerprint(problems, "set")
    look_at(tmp_path / "seen", [FileImage(folder, name, "r", LIMIT) for name in FILES])
    fresh = [FileImage(folder, image.relative, "r", LIMIT) for image in items]
    unread(monkeypatch)
    _, looks = look_at(tmp_path / "seen", fresh)
    problems = [Problem(str(index), "Which?", "1", (image,)) for index, image in enumerate(fresh)]
    assert ([content_key(each) for each in problems], fingerprint(problems, "set", known=looks)) == expected


def test_a_file_that_changed_is_seen_anew(tmp_path):
    path = tmp_path / "x.png"
    items = lambda: [FileImage(tmp_path, "x.png", "r", LIMIT)]  # noqa: E731
    for data in (picture(1), picture(2), b"x" * len(picture(2)), picture(3)):
        path.write_bytes(data)
        os.utime(path, ns=(0, random.Random(data).randrange(10**15)))
        good = plain(next(image_faults(items()))) is None
        verdicts, looks = look_at(tmp_path / "seen", items())
        assert (verdicts[0] is None, list(looks)) == (good, [items()[0].key] if good else [])


def test_a_file_that_changes_while_it_is_read_is_not_noted(tmp_path, monkeypatch):
    stamps = iter(["before", "after", "before", "before"])
    monkeypatch.setattr(FileImage, "stamp", lambda _: next(stamps))
    for index in (1, 2):
        (tmp_path / "x.png").write_bytes(picture(index))
        (image,) = items = [FileImage(tmp_path, "x.png", "r", LIMIT)]
        look_at(tmp_path / "seen", items)
        assert image.key == BytesImage(picture(index), "r").key


def test_want_of_memory_is_no_lasting_fault(folder, tmp_path, monkeypatch):
    items = [FileImage(folder, "good1.png", "r", LIMIT)]
    with monkeypatch.context() as patched:
        patched.setattr(decode.Image, "open", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
        assert look_at(tmp_path / "seen", items)[0] != [None]
    assert look_at(tmp_path / "seen", items)[0] == [None]


def test_other_limits_and_looks_that_were_not_wanted_are_seen_anew(folder, tmp_path):
    small = [FileImage(folder, "good1.png", "r", 10)]
    usual = [FileImage(folder, "good1.png", "r", LIMIT)]
    assert look_at(tmp_path / "seen", usual, looks=False) == ([None], {})
    assert look_at(tmp_path / "seen", small)[0][0][2] == "image_too_large"
    verdicts, looks = look_at(tmp_path / "seen", usual)
    assert verdicts == [None] and looks[usual[0].key] == look_of(usual[0].load())
    assert look_at(tmp_path / "seen", usual, looks=False) == ([None], {})


def test_spilled_images_are_known_by_content(tmp_path, monkeypatch):
    spill = Spill(tmp_path)
    items = lambda: [spill.keep(BytesImage(picture(index), "r", LIMIT)) for index in (1, 2, 1)]  # noqa: E731
    first = look_at(tmp_path / "seen", items())
    unread(monkeypatch)
    assert look_at(tmp_path / "seen", items()) == first and len(first[1]) == 2


def test_what_an_interrupted_run_saw_is_noted(folder, tmp_path, monkeypatch):
    items = [FileImage(folder, f"good{index}.png", "r", LIMIT) for index in range(6)]
    with pytest.raises(KeyboardInterrupt), SeenImages(tmp_path / "seen", True, print) as known:
        for _ in zip(range(4), known.faults(items), strict=False):
            pass
        raise KeyboardInterrupt
    unread(monkeypatch)
    assert look_at(tmp_path / "seen", items[:4])[0] == [None] * 4


def test_several_may_note_at_the_same_time(folder, tmp_path, monkeypatch):
    items = [FileImage(folder, f"good{index}.png", "r", LIMIT) for index in range(6)]
    said: list[str] = []
    with (
        SeenImages(tmp_path / "seen", True, said.append) as one,
        SeenImages(tmp_path / "seen", True, said.append) as other,
    ):
        assert list(zip(one.faults(items), other.faults(items), strict=True)) == [(None, None)] * 6
    unread(monkeypatch)
    assert look_at(tmp_path / "seen", items, said=said)[0] == [None] * 6 and said == []


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_notes_that_are_damaged_are_told_of_and_not_needed(folder, tmp_path, damage):
    (tmp_path / "seen").write_bytes(damage)
    items, said = media(folder, list(FILES)), []
    expected = [plain(fault) for fault in image_faults(items)]
    assert look_at(tmp_path / "seen", items, said=said)[0] == expected
    assert len(said) == 1 and str(tmp_path / "seen") in said[0]
    assert (tmp_path / "seen").read_bytes() == damage


def test_notes_that_cannot_be_written_are_told_of(folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    said: list[str] = []
    assert look_at(tmp_path / "file" / "seen", media(folder, ["good1.png"]), said=said)[0] == [None, None]
    assert len(said) == 1


@pytest.mark.parametrize(
    "row",
    [
        ("key", None),
        ("look", b"short"),
        ("look", 7),
        ("fault", "no json"),
        ("fault", '["a", "b", "no_such_reason"]'),
        ("fault", '{"a": 1}'),
        ("key", "../../x"),
        ("width", None),
        ("plain", "svg"),
    ],
)
def test_rows_that_nobody_here_wrote_are_not_believed(folder, tmp_path, row):
    items = media(folder, ["good1.png"])
    expected = look_at(tmp_path / "seen", items)
    database = sqlite3.connect(tmp_path / "seen")
    database.execute(f"UPDATE seen_3 SET {row[0]} = ?", (row[1],))
    database.commit()
    database.close()
    assert look_at(tmp_path / "seen", items) == expected


def test_notes_hold_no_places(folder, tmp_path):
    look_at(tmp_path / "seen", media(folder, list(FILES)))
    held = (tmp_path / "seen").read_bytes()
    assert b"good1" not in held and str(folder).encode() not in held


def test_drawn_images_are_checked_too(tmp_path):
    from vision_r1.problems.config import TinyWorldData
    from vision_r1.problems.tiny_world import make_problems

    drawn = [problem.media[0] for problem in make_problems(TinyWorldData(split="train", n=2))]
    assert all(isinstance(image, SceneImage) for image in drawn)
    assert look_at(tmp_path / "seen", drawn) == ([None, None], {})
