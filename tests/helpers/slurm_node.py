"""A cluster of one node for tests: munged, slurmctld and slurmd in a folder, with GPUs that are none.

As root, without systemd, cgroups or an accounting database. The node pretends to more CPUs than the machine has.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol"]
# In a job srun is called without SLURM_CONF, so it looks here.
CONFIG_FOLDER = Path("/etc/slurm")
# A GPU is a device of its own; without a file SLURM counts none.
DEVICES = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random"]
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MinJobAge=3600
KillWait=30
SlurmctldTimeout=30
SlurmdTimeout=60
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL Default=NO MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """What this machine lacks, or None."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"no {', '.join(missing)} here (apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "SLURM's daemons want to be started by root"
    return None


def wait_for(done: Callable[[], object], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.2)


def call(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout


def works(*words: str) -> bool:
    try:
        call(*words)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return False
    return True


def free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return candidate.getsockname()[1]


class Node:
    """The daemons, each to be started and stopped, and what they say of the jobs."""

    def __init__(self, folder: Path, gpus: int, cpus: int) -> None:
        self.folder, self.host = folder, socket.gethostname().split(".")[0]
        memory = max(64_000, psutil.virtual_memory().total >> 20)
        ports = {"controller_port": free_port(), "node_port": free_port()}
        values = {"folder": folder, "host": self.host, "gpus": gpus, "cpus": cpus, "memory": memory}
        (folder / "slurm.conf").write_text(CONFIG.format(**values, **ports))
        lines = [f"NodeName={self.host} Name=gpu File={device}" for device in DEVICES[:gpus]]
        (folder / "gres.conf").write_text("\n".join(["AutoDetect=off", *lines, ""]))
        # slurmd dies without a line on cgroups, though it uses none.
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
        (folder / "munge.key").chmod(0o400)

    def start_munged(self) -> None:
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
        files |= {"log-file": "munged.log", "seed-file": "munge.seed"}
        call("munged", "--force", *(f"--{option}={self.folder / file}" for option, file in files.items()))

    def start_slurmctld(self) -> None:
        call("slurmctld")
        wait_for(lambda: works("scontrol", "ping"), "slurmctld")

    def start_slurmd(self) -> None:
        call("slurmd", "-N", self.host)
        wait_for(self._ready, "slurmd")

    def _ready(self) -> bool:
        state = call("sinfo", "--noheader", "--format=%T").split()
        if set(state) <= {"idle", "mixed", "allocated"}:
            return True
        works("scontrol", "update", f"nodename={self.host}", "state=resume")
        return False

    def stop(self, daemon: str, number: int = signal.SIGTERM) -> None:
        """Stops `munged`, `slurmctld` or `slurmd`, by SIGTERM or another signal, and waits until it is gone."""
        try:
            process = psutil.Process(int((self.folder / f"{daemon}.pid").read_text()))
            process.send_signal(number)
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return
        gone = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        wait_for(lambda: not process.is_running() or process.status() in gone, f"the end of {daemon}")
        (self.folder / f"{daemon}.pid").unlink(missing_ok=True)

    def jobs(self) -> list[dict[str, str]]:
        """All jobs, ended ones too, in the order of submission: `scontrol show job` by key."""
        lines = call("scontrol", "--oneliner", "show", "jobs").splitlines()
        found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if line.startswith("JobId=")]
        return sorted(found, key=lambda job: int(job["JobId"]))


@contextmanager
def node(folder: Path, gpus: int = 2, cpus: int = 8) -> Iterator[Node]:
    """A running node whose files are in `folder`. What was at `/etc/slurm/*.conf` is there again at the end."""
    made, kept = not CONFIG_FOLDER.exists(), folder / "kept"
    kept.mkdir(parents=True)
    CONFIG_FOLDER.mkdir(exist_ok=True)
    one, names = Node(folder, gpus, cpus), ["slurm.conf", "gres.conf", "cgroup.conf"]
    conf_before = os.environ.pop("SLURM_CONF", None)
    try:
        for name in names:
            if os.path.lexists(CONFIG_FOLDER / name):
                shutil.move(CONFIG_FOLDER / name, kept / name)
            (CONFIG_FOLDER / name).symlink_to(folder / name)
        one.start_munged()
        one.start_slurmctld()
        one.start_slurmd()
        yield one
    finally:
        if works("scontrol", "ping"):
            works("scancel", "--user=root")
            wait_for(lambda: not call("squeue", "--noheader"), "the end of all jobs")
        for daemon in ("slurmd", "slurmctld", "munged"):
            one.stop(daemon)
        for name in names:
            (CONFIG_FOLDER / name).unlink(missing_ok=True)
            if os.path.lexists(kept / name):
                shutil.move(kept / name, CONFIG_FOLDER / name)
        if made:
            CONFIG_FOLDER.rmdir()
        if conf_before is not None:
            os.environ["SLURM_CONF"] = conf_before
