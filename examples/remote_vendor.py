"""A vendor's agent in plain Python and pyarrow: all of docs/agent-protocol.md that it takes.

Each product has one source; a unit delivered at a dock earns the vendor its margin less what shipping costs.
"""
# ruff: noqa: ARG002, D101, D102, T201

import os
import sys

import pyarrow as pa
import pyarrow.flight as fl

EARNS = {("widget", "dock-1"): 10.0, ("widget", "dock-2"): 15.0}  # currency / unit
CAPACITY = {"widget": 100.0}  # units / week
UNITS, ZSTD = pa.list_(pa.float64()), pa.ipc.IpcWriteOptions(compression="zstd")


class Doorkeeper(fl.ServerMiddlewareFactory):
    def start_call(self, info, headers):
        if headers.get("authorization") != [f"Bearer {os.environ['JAXCPP_AGENT_TOKEN']}"]:
            raise fl.FlightUnauthenticatedError("no")


class Agent(fl.FlightServerBase):
    sessions: dict = {}  # noqa: RUF012

    def do_action(self, context, action):
        question = pa.ipc.open_stream(action.body).read_all()
        head = {key.decode(): value.decode() for key, value in question.schema.metadata.items()}
        rows, columns = question.to_pylist(), [("contract_id", pa.string())]
        if head["method"] == "open":
            weeks = int(head["weeks"])
            self.sessions[head["session"]] = {row["contract_id"]: (row, weeks) for row in rows}
            head, columns = head | {"methods": "best_plan"}, [*columns, ("reached", pa.list_(pa.bool_()))]
            values = [[[(row["product_id"], dock) in EARNS for dock in row["inbound_ids"]] for row in rows]]
        else:
            known = self.sessions[head["session"]]
            values = zip(*(self.best(*known[row["contract_id"]], row["price"]) for row in rows), strict=True)
            columns += [("plan", UNITS), ("utility", pa.float64())]
        arrays = zip([[row["contract_id"] for row in rows], *values], columns, strict=True)
        batch = pa.record_batch(
            [pa.array(part, kind) for part, (_, kind) in arrays], pa.schema(columns, head)
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema, options=ZSTD) as writer:
            writer.write_batch(batch)
        yield fl.Result(sink.getvalue())

    def best(self, contract, weeks, price):
        """The plan that earns most at a price, and what it earns: all to the best dock, or nothing."""
        product = contract["product_id"]
        docks = [dock for dock in contract["inbound_ids"] if (product, dock) in EARNS]
        plan, earned = [0.0] * len(price), 0.0
        for week in range(weeks):
            offers = ((EARNS[product, dock] - price[i * weeks + week], i) for i, dock in enumerate(docks))
            left, at = max(offers, default=(0.0, 0))
            if left > 0.0:
                plan[at * weeks + week] = min(CAPACITY[product], contract["most"])
                earned += EARNS[product, docks[at]] * plan[at * weeks + week]
        return plan, earned


if __name__ == "__main__":
    certificate, key, authority = (open(path, "rb").read() for path in sys.argv[2:5])  # noqa: PTH123, SIM115
    agent = Agent(f"grpc+tls://{sys.argv[1]}", tls_certificates=[(certificate, key)], verify_client=True,
                  root_certificates=authority, middleware={"token": Doorkeeper()})  # fmt: skip
    print("listening on port", agent.port, flush=True)
    agent.serve()
