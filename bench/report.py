"""The benchmark's table: measured, beside what, against which budget, and the command that made the row."""

import json
import shutil


def figure(value):
    """Three digits, and no powers of ten: 0.0019, 47.8, 1,240."""
    return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Report:
    """Of one run; `out` is where it leaves its files."""

    def __init__(self, machine, out):
        self.out = out
        self._machine = machine
        self._rows = []
        self._attachments = {}

    def row(self, name, value, unit, how, peer=None, budget=None, budget_ratio=None, met=None, headline=False):
        """`peer` is (name, value); `budget` bounds the value, `budget_ratio` value / peer, `met` says it outright."""
        ratio = value / peer[1] if peer and peer[1] else None
        verdicts = []
        if budget is not None:
            verdicts.append(value <= budget)
        if budget_ratio is not None and ratio is not None:
            verdicts.append(ratio <= budget_ratio)
        if met is not None:
            verdicts.append(bool(met))
        self._rows.append(
            {
                "name": name,
                "value": value,
                "unit": unit,
                "how": how,
                "ratio": ratio,
                "headline": headline,
                "peer": {"name": peer[0], "value": peer[1]} if peer else None,
                "budget": budget,
                "budget_ratio": budget_ratio,
                "verdict": None if not verdicts else "ok" if all(verdicts) else "MISSED",
            }
        )

    def attach(self, name, data):
        self._attachments[name] = data

    def missed(self):
        return [row["name"] for row in self._rows if row["verdict"] == "MISSED"]

    def table(self):
        lines = [_machine_line(self._machine), ""]
        header = ("what", "ours", "beside", "ratio", "budget", "", "command")
        body = [header] + [self._cells(row) for row in self._rows]
        widths = [max(len(cells[i]) for cells in body) for i in range(len(header))]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in body
        ]
        return "\n".join(lines)

    @staticmethod
    def _cells(row):
        peer = row["peer"]
        budget = [f"<= {figure(row['budget'])} {row['unit']}"] if row["budget"] is not None else []
        budget += [f"<= {row['budget_ratio']:g} x"] if row["budget_ratio"] is not None else []
        return (
            row["name"],
            f"{figure(row['value'])} {row['unit']}",
            f"{peer['name']} {figure(peer['value'])} {row['unit']}" if peer else "-",
            f"{row['ratio']:.3g}" if row["ratio"] is not None else "-",
            ", ".join(budget) or "-",
            row["verdict"] or "",
            row["how"],
        )

    def write_json(self, path):
        data = {"machine": self._machine, "rows": self._rows, **self._attachments}
        path.write_text(json.dumps(data, indent=1) + "\n")

    def publish(self, root):
        results = root / "docs/results"
        results.mkdir(parents=True, exist_ok=True)
        (results / "bench-host.txt").write_text("$ make bench\n" + self.table() + "\n")
        self.write_json(results / "bench-host.json")
        if (self.out / "frontier.png").exists():
            shutil.copy(self.out / "frontier.png", results / "frontier-host.png")
        readme = root / "README.md"
        begin, end = "<!-- bench:begin -->", "<!-- bench:end -->"
        head, _, rest = readme.read_text().partition(begin)
        _, _, tail = rest.partition(end)
        rows = [row for row in self._rows if row["headline"]][:5]
        table = ["", "| measured by `make bench` | ours | beside | ratio |", "| --- | --- | --- | --- |"]
        for row in rows:
            unit, peer = row["unit"], row["peer"]
            beside = f"{peer['name']} {figure(peer['value'])} {unit}"
            table.append(f"| {row['name']} | {figure(row['value'])} {unit} | {beside} | {row['ratio']:.2g} |")
        note = f"\n{_machine_line(self._machine)}; all of it in [docs/results](docs/results/bench-host.txt).\n"
        readme.write_text(head + begin + "\n".join(table) + "\n" + note + end + tail)


def _machine_line(machine):
    where = f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}"
    if "gpu" in machine:
        where = f"{machine['gpu']}; {where}"
    return f"{where}, {machine['date']}, commit {machine['commit']}"
