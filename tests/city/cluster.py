"""A cluster of three brokers: nodes of RabbitMQ, gateways at all, each killed once in mid-drain."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.demo.fleet import Fleet, FleetLedger, FleetVerdict
from tests.city.site import Site
from tests.ports import free_port
from tests.uplink.uplink_peers import RabbitMq

NODES = 3


class RabbitNode(RabbitMq):
    """One node of a cluster on this machine: its name, its ports and its folder are its own, the cookie and
    Erlang's name server are shared.
    """

    starts = 300.0

    def __init__(self, folder: Path, epmd: int) -> None:
        folder.mkdir()
        super().__init__(folder)
        self._epmd = epmd
        self.names: list[str] = []
        """Of all nodes."""

    @property
    def name(self) -> str:
        return f"peer{self.port}@localhost"

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def command(self) -> tuple[list[str], dict[str, str]]:
        command, names = super().command()
        lines = ["cluster_formation.peer_discovery_backend = classic_config"]
        lines += [
            f"cluster_formation.classic_config.nodes.{number} = {name}"
            for number, name in enumerate(self.names, 1)
        ]
        conf = self.folder / "rabbitmq.conf"
        conf.write_text(conf.read_text() + "\n".join(lines) + "\n")
        return command, names | {"HOME": str(self.folder.parent)}


class Cluster:
    """Three nodes that know one another."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.epmd = folder, free_port()
        self.nodes = [RabbitNode(folder / f"node-{number}", self.epmd) for number in range(NODES)]
        for node in self.nodes:
            node.names = [one.name for one in self.nodes]
        cookie = folder / ".erlang.cookie"
        cookie.write_text("THREEBROKERSOFONECITY")
        cookie.chmod(0o400)

    def start(self) -> None:
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(lambda node: node.start(), self.nodes))
        assert self.size() == NODES, "the nodes are no cluster"

    def size(self) -> int:
        """How many nodes the first one knows to run."""
        node = self.nodes[0]
        done = subprocess.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "eval", "length(rabbit_nodes:all_running())."],
            env={**node.command()[1], "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return int(done.stdout.split()[-1]) if done.returncode == 0 else 0

    def end(self) -> None:
        for node in self.nodes:
            node.kill()
        if epmd := shutil.which("epmd"):  # ours by its port
            command = [epmd, "-port", str(self.epmd), "-kill"]
            subprocess.run(command, capture_output=True, check=False, timeout=20)


def a_node_dies(
    folder: Path, *, gateways: int = 45, backlog: float = 400.0, down: float = 4.0
) -> tuple[FleetLedger, FleetVerdict]:
    """Each node is killed and comes back, one after the other, while a herd drains. MQTT 3.1.1 has no shared
    subscriptions: a receiver for each third of the gateways, at a node of its own.
    """
    cluster = Cluster(folder)
    try:
        cluster.start()
        with Site(folder, receivers=0, share=False) as site:
            plan = site.plan(
                brokers=tuple(node.url for node in cluster.nodes),
                protocol="3.1.1",
                gateways=gateways,
                meters=3,
                values=8,
                interval=2.0,
                backlog=backlog,
            )
            for number, node in enumerate(cluster.nodes):
                names = [plan.name(gateway) for gateway in range(number, gateways, NODES)]
                site.start_receiver(*(word for name in names for word in ("--gateway", name)), url=node.url)

            async def beside(fleet: Fleet) -> None:
                for node in cluster.nodes:
                    await asyncio.sleep(down)
                    node.kill()
                    await asyncio.sleep(down)
                    await asyncio.to_thread(node.start)
                fleet.stop()

            _fleet, ledger = site.run(plan, beside)
            return ledger, site.judged(ledger)
    finally:
        cluster.end()
