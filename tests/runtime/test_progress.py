"""Progress lines: what, how far, how long."""

from segunc.runtime.progress import Progress, clock


def test_progress_reports_what_how_far_and_how_long(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("segunc.runtime.progress.time.monotonic", lambda: now[0])
    progress = Progress("train lidc unet seed 0", 2500)
    for seconds, done in ((0, 0), (4, 100), (20, 500), (21, 510), (30, 2500)):
        now[0] = seconds
        progress.update(done, "loss 0.05")
    assert capsys.readouterr().err.splitlines() == [
        "train lidc unet seed 0: 500/2500 (20%), 1:20 left, loss 0.05",
        "train lidc unet seed 0: 2500/2500 (100%), loss 0.05",
    ]
    unknown = Progress("prepare lidc")
    now[0] = 40
    unknown.update(1200)
    assert capsys.readouterr().err == "prepare lidc: 1200\n"


def test_lines_grow_rarer(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("segunc.runtime.progress.time.monotonic", lambda: now[0])
    progress = Progress("prepare lidc")
    for second in range(1200):
        now[0] = second
        progress.update(second)
    times = [int(line.split()[-1]) for line in capsys.readouterr().err.splitlines()]
    pauses = [after - before for before, after in zip([0, *times], times, strict=False)]
    assert pauses[0] == 5 and pauses == sorted(pauses) and pauses[-1] == 60


def test_clock():
    assert [clock(seconds) for seconds in (0, 59.6, 80, 3600, 7325)] == ["0:00", "1:00", "1:20", "1:00:00", "2:02:05"]
