"""Client processes that do what a test tells them, one piece of Python after the other."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
DEADLINE = 90.0  # of one answer: a driver that waits for ever fails one test, not all
WORD = 0x01020304  # a pattern whose bytes differ

PRELUDE = f"""
import gc, os, sys, threading, ctypes
sys.path.insert(0, {str(HERE)!r})
import nvcv_cached as nvcv
from cuda_calls import Driver, Gate, LEGACY, PER_THREAD, CudaError
driver = Driver()
driver.primary_context()

BLOCK = 1 << 19

def tensor(nbytes):
    return nvcv.Tensor((nbytes,), "u1")

def pointer(tensor):
    return tensor.__cuda_array_interface__["data"][0]

def in_thread(work):
    out = []
    def run():
        driver.primary_context()
        try:
            out.append((True, work()))
        except BaseException as error:
            out.append((False, error))
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    done, value = out[0]
    if not done:
        raise value
    return value
"""

LOOP = """
import json, sys
scope = {}
exec(sys.argv[1], scope)
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    scope["result"] = None
    try:
        exec(json.loads(line), scope)
        answer = {"result": scope["result"]}
    except BaseException as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
"""

WRITER = """
kernel = cupy.RawKernel(r'''
extern "C" __global__ void write(volatile unsigned* block, long long words, volatile int* stop) {
  const long long step = (long long)gridDim.x * blockDim.x;
  while (*stop == 0)
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < words; i += step) block[i] = 0x01020304u;
}''', "write")
rest = [tensor(BLOCK) for _ in range(15)]
t = tensor(BLOCK)
a = cupy.asarray(t)
s = cupy.cuda.Stream(non_blocking=True)
t.record_stream(s)
with s:
    kernel((64,), (256,), (a.view(cupy.uint32), BLOCK // 4, stop))
result = True
"""


def writer(gate=None):
    """A kernel that writes its word over the whole block until the gate is open, or its process is gone."""
    if gate is None:
        return "import cupy\nstop = cupy.zeros(1, cupy.int32)\n" + WRITER
    opened = f"gate = Gate({gate.name!r})\nstop = numpy.uint64(gate.on_gpu(driver))\n"
    return "import cupy, numpy\n" + opened + WRITER


# Whether somebody still writes: looked at again and again, for as long as a kernel would need to show itself.
LOOK = """
import time
end, wrong = time.monotonic() + 1.0, 0
while time.monotonic() < end:
    wrong += driver.wrong_words(p, 0x11121314, BLOCK)
result = wrong
"""


class WorkerError(Exception):
    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class Worker:
    """A client of the daemon; `connect` options go to nvcv.connect before the first object."""

    def __init__(self, daemon, prelude=PRELUDE, environment=(), prefix=(), **options):
        env = {**daemon.environment, "NVCV_CACHED_ADDRESS": str(daemon.socket), "NVCV_CACHED_AUTOSTART": "0"}
        env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
        env.update(environment)
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-u", "-c", LOOP, prelude],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        self._answer()
        if options:
            self(f"nvcv.connect(**{options!r})")

    @property
    def pid(self):
        return self.process.pid

    def send(self, code):
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()

    def answers_within(self, seconds):
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def _answer(self):
        if not self.answers_within(DEADLINE):
            raise WorkerError("Silent", f"no answer within {DEADLINE} s")
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError("Ended", f"exit {self.process.wait()}: {self.process.stderr.read()[-3000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"], answer["text"])
        return answer.get("result")

    def __call__(self, code):
        self.send(code)
        return self._answer()

    answer = _answer

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def leave(self):
        """Ends as a program does; what it said on stderr."""
        _out, err = self.process.communicate(timeout=60)
        return self.process.returncode, err

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def refuses(worker):
    """The daemon refuses the process the block that is the pool's last. On a busy machine the process's own deadline may
    come first, which says nothing: it asks again."""
    for _ in range(20):
        try:
            worker("t = tensor(BLOCK)")
        except WorkerError as refused:
            if refused.name == "OutOfMemory":
                return
            assert refused.name == "DeadlineExceeded", refused
        else:
            raise AssertionError("it got a block that is still in use")
    raise AssertionError("the daemon did not answer")


def takes_and_keeps(worker, value=0x11121314):
    """The process gets the block, and what it writes there stays."""
    wrong = worker(
        f"t = tensor(BLOCK); p = pointer(t); driver.fill(p, {value}, BLOCK, LEGACY)\n"
        f"driver.StreamSynchronize(LEGACY); result = driver.wrong_words(p, {value}, BLOCK)"
    )
    assert wrong == 0, f"{wrong} words were overwritten"
