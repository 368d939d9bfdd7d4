"""What the command-line tests share: running the built command in an environment of its own.

The folders of the XDG specification are temporary, so that no test sees or leaves anything in the user's home. Both
Vulkan implementations in software are offered where they are installed.
"""
import glob
import json
import os
import pty
import select
import signal
import subprocess
import tempfile
import termios
import time
import unittest
from pathlib import Path

PUMICE = os.environ["PUMICE"]
SHARED = Path(os.environ["PUMICE_SHARED_DATA"])
STORIES = SHARED / "models" / "stories260k-f32.gguf"
IN_CI = os.environ.get("CI") == "true"
TIMEOUT = 300

OK, FAILURE, USAGE = 0, 1, 2

SOFTWARE_VULKAN = sorted(glob.glob("/usr/share/vulkan/icd.d/lvp_icd*.json")) + \
    glob.glob("/usr/lib/chromium/vk_swiftshader_icd.json")


class CliCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory()
        cls.folder = Path(cls._folder.name)
        cls.env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "PUMICE_PLUGIN_PATH")}
        cls.env.update(
            HOME=cls._folder.name, XDG_DATA_HOME=f"{cls._folder.name}/data",
            XDG_CACHE_HOME=f"{cls._folder.name}/cache", XDG_STATE_HOME=f"{cls._folder.name}/state",
            VK_ICD_FILENAMES=":".join(SOFTWARE_VULKAN), LC_ALL="C.UTF-8", TERM="xterm")
        cls.env.update(pair.split("=", 1) for pair in os.environ.get("PUMICE_ENV", "").split("|") if pair)
        # A sanitizer's report must not pass for an ordinary failure.
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            cls.env[name] = ":".join(filter(None, [cls.env.get(name), "exitcode=99"]))

    @classmethod
    def tearDownClass(cls):
        cls._folder.cleanup()

    def pumice(self, *arguments, status=OK, text="", env=None, **more):
        """Runs the command and checks its exit status; returns what it wrote, as bytes."""
        result = subprocess.run([PUMICE, *map(str, arguments)], input=text.encode() if isinstance(text, str) else text,
                                capture_output=True, timeout=TIMEOUT, env={**self.env, **(env or {})}, check=False,
                                **more)
        self.assertEqual(result.returncode, status,
                         f"pumice {arguments}\nstdout: {result.stdout[-2000:]!r}\nstderr: {result.stderr[-4000:]!r}")
        return result

    def json(self, *arguments, **more):
        return json.loads(self.pumice(*arguments, **more).stdout)

    def start(self, *arguments, **more):
        process = subprocess.Popen([PUMICE, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.env, **more)
        self.addCleanup(process.kill)
        return process

    def usable_devices(self):
        return [d["name"] for d in self.json("devices", "--json") if d["usable"]]

    def need_stories(self):
        """Skips without the shared model, or fails where it is said that it should be there."""
        if STORIES.exists():
            return
        if os.environ.get("PUMICE_REQUIRE_SHARED_DATA"):
            self.fail(f"{STORIES} is missing")
        self.skipTest(f"skip: {STORIES} is not here")


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, case, *arguments, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(PUMICE, [PUMICE, *map(str, arguments)], {**case.env, **(env or {})})
        self.seen = b""
        self.status = None
        case.addCleanup(self.close)

    def read(self, seconds=0.1):
        """What comes within some time; b"" at the end."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return None
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side is gone
            data = b""
        self.seen += data
        return data

    def wait_for(self, text, seconds=TIMEOUT):
        """Reads until `text` has come after what was waited for before; returns everything up to its end."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            if self.read() == b"" or time.monotonic() > end:
                raise AssertionError(f"{text!r} did not come; seen: {self.seen[-2000:]!r}")
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def wait_prompt(self):
        """Waits for the prompt, and until keys go to the line editor: before that, the terminal itself would take
        Ctrl-C and Ctrl-D."""
        said = self.wait_for(b"> ")
        end = time.monotonic() + TIMEOUT
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > end:
                raise AssertionError("the line editor does not start")
            time.sleep(0.01)
        return said

    def write(self, text):
        os.write(self.fd, text)

    def wait_end(self, seconds=TIMEOUT):
        """Reads to the end; returns the exit status, negative for a signal."""
        end = time.monotonic() + seconds
        while self.read() != b"":
            if time.monotonic() > end:
                raise AssertionError(f"it does not end; seen: {self.seen[-2000:]!r}")
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        if self.status == 99:
            raise AssertionError(f"the command failed under a sanitizer: {self.seen!r}")
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.status = -signal.SIGKILL
        os.close(self.fd)
