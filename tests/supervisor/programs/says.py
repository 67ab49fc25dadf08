"""Says of itself what its arguments are, in their order (sd_notify(3)), and then goes on until it is ended.

``wait:NAME`` waits for the file NAME in $DIR, or in its own directory; ``print:NAME`` writes a variable;
``child:MESSAGE`` has a child say it, ``orphan:MESSAGE`` one that has lost its parent and left the group;
``often:MESSAGE:NAME`` says it every 20 ms until the file NAME is there.
"""

import os
import socket
import sys
import time

folder = os.environ.get("DIR", ".")
address = os.environ["NOTIFY_SOCKET"]


def say(message: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(message.encode("latin-1"), "\0" + address[1:])


def there(name: str) -> bool:
    return os.path.exists(f"{folder}/{name}")


for argument in sys.argv[1:]:
    verb, _, rest = argument.partition(":")
    if verb == "wait":
        while not there(rest):
            time.sleep(0.005)
    elif verb == "child":
        if (pid := os.fork()) == 0:
            say(rest)
            os._exit(0)
        time.sleep(0.2)  # a zombie speaks for its instance, too
        os.waitpid(pid, 0)
    elif verb == "orphan":
        if (pid := os.fork()) == 0:
            os.setsid()
            if os.fork() == 0:
                while os.getppid() not in (1, int(os.environ["SUPERVISOR"])):
                    time.sleep(0.005)
                say(rest)
                time.sleep(1000)
            os._exit(0)
        os.waitpid(pid, 0)
    elif verb == "often":
        message, _, until = rest.partition(":")
        while not there(until):
            say(message)
            time.sleep(0.02)
    elif verb == "print":
        print(rest, os.environ.get(rest), flush=True)
    else:
        say(argument)
time.sleep(1000)
