#!/usr/bin/python3
"""Runs a program with a terminal as its stdout and stderr, and copies what it writes to stdout.

terminal.py COLUMNS PROGRAM [ARGUMENTS...]

With EXPECT in the environment, lines of "TEXT<TAB>ACTION": when TEXT has been seen (after what was
seen before), ACTION is done: "interrupt" sends ^C, "suspend" ^Z, "type TEXT" types a line, "sh COMMAND"
runs a command, "resize N" makes it N columns wide, "go on" does nothing. Ends with the status of the
program."""
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios

signal.alarm(100)   # only stops a hang
columns, command = int(sys.argv[1]), sys.argv[2:]
steps = [line.split("\t", 1) for line in os.environ.pop("EXPECT", "").splitlines() if line]


def resize(fd, count):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, count, 0, 0))


pid, terminal = pty.fork()
if pid == 0:
    resize(1, columns)
    os.environ["TERM"] = "xterm"
    os.execv(command[0], command)
resize(terminal, columns)
seen = b""
while True:
    try:
        chunk = os.read(terminal, 4096)
    except OSError:   # EIO: the program is gone
        break
    if not chunk:
        break
    sys.stdout.buffer.write(chunk.replace(b"\r\n", b"\n"))
    seen += chunk
    while steps and (at := seen.find(steps[0][0].encode())) >= 0:
        text, action = steps.pop(0)
        seen = seen[at + len(text.encode()):]
        if action == "interrupt":
            os.write(terminal, b"\x03")
        elif action == "suspend":
            os.write(terminal, b"\x1a")
        elif action.startswith("type "):
            os.write(terminal, action[5:].encode() + b"\n")
        elif action.startswith("sh "):
            subprocess.run(["/bin/sh", "-c", action[3:]], check=True)
        elif action.startswith("resize "):
            resize(terminal, int(action[7:]))
sys.stdout.flush()
_, status = os.waitpid(pid, 0)
if steps:
    sys.stderr.write("never seen: %r\n" % steps[0][0])
    sys.exit(98)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
