"""A loss in Python for processBox('python3', ['loss.py']): each line of input is a query, each line of output an answer."""
import json
import sys


def loss(x):
    return sum((i + 1) * (value - 1) ** 2 for i, value in enumerate(x))


for line in sys.stdin:  # Ends when deepzero closes it.
    query = json.loads(line)
    if "id" not in query:
        continue  # The greeting.
    try:
        answer = {"id": query["id"], "loss": loss(query["x"])}
    except Exception as error:
        answer = {"id": query["id"], "failed": repr(error)}
    print(json.dumps(answer), flush=True)
