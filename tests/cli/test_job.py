from keysat.daemon import KEPT
from keysat.jobs.schedule import jobs
from tests.cli.conftest import Run

NAMES = [one.name for one in jobs(KEPT)]


def test_every_job_of_the_daemon_is_listed_and_can_be_run(house: Run):
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in house("job").out.splitlines()[1:]}
    assert [*listed] == NAMES
    assert listed["seal"] == "200 ms  news of events"
    assert listed["sweep"].split("  ")[0] == "10 min"
    for name in NAMES:
        told = house("job", name)
        assert (told.code, told.out, told.err) == (0, f"{name}: done.\n", "")


def test_an_unknown_job_names_those_that_are_there(house: Run):
    told = house("job", "dance")
    assert (told.code, told.out) == (1, "")
    assert told.err == f"keysat: There is no job 'dance'; there are {', '.join(NAMES)}.\n"
