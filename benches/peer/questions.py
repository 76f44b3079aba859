"""What the programs of all other systems share: questions in, answers out.

One question a line on standard input, `WORKLOAD SIZE`; one line of JSON for each on standard
output.
"""

import json
import sys


def answer_all(session):
    """Answers every question with a method of the session, until standard input ends."""
    try:
        for line in sys.stdin:
            workload, size = line.split()
            try:
                answer = session.measure(workload, int(size))
            except Exception as error:
                answer = {"error": repr(error)}
            print(json.dumps(answer), flush=True)
    finally:
        session.close()
