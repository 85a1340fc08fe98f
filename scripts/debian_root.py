"""Debian roots made by debootstrap, and commands run inside them: what the check-* scripts stand on.

The machine's settings (a mirror's apt sources, certificates, proxies) are lent to a root on request and are never
part of the repository.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
LOCAL_CERTIFICATES = Path("/usr/local/share/ca-certificates")


def need_root_and_programs() -> None:
    """Exit with a clear message where this cannot work."""
    if os.geteuid() != 0:
        sys.exit("chroot and debootstrap need root")
    for program in ("debootstrap", "chroot", "unshare", "ip", "git"):
        if shutil.which(program) is None:
            sys.exit(f"no {program}: apt-get install debootstrap util-linux iproute2 git")


def base_root(work: Path, suite: str) -> Path:
    """Give the minimal root of a Debian suite under `work`, made once by debootstrap."""
    root = work / f"base-{suite}"
    if not (root / "etc/debian_version").exists():
        shutil.rmtree(root, ignore_errors=True)
        print(f"--- debootstrap --variant=minbase {suite}", flush=True)
        command = ["debootstrap", "--variant=minbase", suite, str(root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return root


def new_root(work: Path, suite: str, name: str, machine_config: bool) -> Path:
    """Give a fresh copy of the suite's base root as work/name; an older one of that name is deleted."""
    root = work / name
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "--archive", str(base_root(work, suite)), str(root)], check=True)
    shutil.copy2("/etc/resolv.conf", root / "etc/resolv.conf")
    if machine_config:
        lend_machine_config(root)
    return root


def lend_machine_config(root: Path) -> None:
    """Copy this machine's apt sources and settings, local CA certificates and pip.conf into the root."""
    for pattern in ("sources.list.d/debian.sources", "apt.conf.d/99*"):
        for source in Path("/etc/apt").glob(pattern):
            target = root / "etc/apt" / source.relative_to("/etc/apt")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    if (root / "etc/apt/sources.list.d/debian.sources").exists():
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
    if LOCAL_CERTIFICATES.is_dir():
        shutil.copytree(LOCAL_CERTIFICATES, root / LOCAL_CERTIFICATES.relative_to("/"), dirs_exist_ok=True)
    if Path("/etc/pip.conf").exists():
        shutil.copy2("/etc/pip.conf", root / "etc/pip.conf")


def machine_environment() -> dict[str, str]:
    """The variables that go with lend_machine_config: proxies and where certificates are looked for."""
    lent = {name: os.environ[name] for name in PROXIES if name in os.environ}
    if LOCAL_CERTIFICATES.is_dir():
        bundle = "/etc/ssl/certs/ca-certificates.crt"
        lent |= {"PIP_CERT": bundle, "NODE_EXTRA_CA_CERTS": bundle, "SSL_CERT_FILE": bundle}
    return lent


def command_inside(
    root: Path,
    command: Sequence[str],
    *,
    user: str = "root",
    folder: str = "/",
    environment: Mapping[str, str],
    isolated: bool = False,
    binds: Mapping[Path, str] | None = None,
) -> list[str]:
    """Give the command line that runs `command` inside `root`, in mount and process namespaces of its own.

    user: a name in the root's /etc/passwd; folder: the working directory; environment: all of it; isolated: a network
    namespace with only a loopback; binds: folders of this machine shown read-only at a path of the root.
    """
    home = "/root"
    if user != "root":
        lines = (root / "etc/passwd").read_text().splitlines()
        home = next(line.split(":")[5] for line in lines if line.startswith(f"{user}:"))
    variables = {"HOME": home, "PATH": DEFAULT_PATH, **environment}
    enter = shlex.join(
        [
            *("chroot", f"--userspec={user}:{user}", str(root), "/usr/bin/env", "-i"),
            *(f"{name}={value}" for name, value in variables.items()),
            *("/bin/sh", "-c", f'cd {shlex.quote(folder)} && exec "$@"', "sh", *command),
        ]
    )
    place = shlex.quote(str(root))
    steps = [
        f"mount -t proc proc {place}/proc",
        f"mount --rbind /dev {place}/dev",
        f"mount -t tmpfs -o mode=1777 tmp {place}/tmp",
    ]
    for source, target in (binds or {}).items():
        inside = f"{place}{shlex.quote(target)}"
        steps += [f"mkdir -p {inside}", f"mount --bind {shlex.quote(str(source))} {inside}"]
        steps += [f"mount -o remount,bind,ro {inside}"]
    if isolated:
        steps.insert(0, "ip link set lo up")
    return [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", *(["--net"] if isolated else [])),
        *("sh", "-c", " && ".join([*steps, f"exec {enter}"])),
    ]
