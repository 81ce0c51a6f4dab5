"""What bench/overload and bench/soak put into docs/performance.md: a part between marks of their own, and line plots as SVG."""
import html
import math
import sys

from measure import ROOT

PAGE = ROOT / "docs/performance.md"
PLOTS = ROOT / "docs/plots"
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b8860b", "#555555")


def marks(tool):
    return f"<!-- measured by {tool} -->", f"<!-- end of what {tool} measured -->"


def replace(tool, text):
    """Replaces what stands between the tool's marks; all else on the page stays."""
    begin, end = marks(tool)
    page = PAGE.read_text()
    if begin not in page or end not in page:
        sys.exit(f"{PAGE} has no place marked {begin} … {end}")
    head, rest = page.split(begin, 1)
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}")


def ticks(low, high, log):
    if log:
        return [10 ** e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) if low <= 10 ** e <= high]
    span = (high - low) or 1
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next((m for m in (1, 2, 5, 10) if span / (step * m) <= 6), 10)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]


def label(value):
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:g}"


def plot(name, title, x_label, y_label, lines, log_x=False, log_y=False):
    """Writes docs/plots/NAME.svg. `lines`: name to (x, y) points. Gives the line of Markdown that shows it."""
    width, height, left, right, top, bottom = 760, 380, 78, 190, 40, 56
    points = [point for line in lines.values() for point in line]
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    low_y, high_y = (min(y for _, y in points) if log_y else 0), max(y for _, y in points) * (1 if log_y else 1.05) or 1

    def place(value, low, high, log, begin, end):
        if log:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        return begin + (end - begin) * ((value - low) / ((high - low) or 1))

    def at(x, y):
        return (place(x, low_x, high_x, log_x, left, width - right), place(y, low_y, high_y, log_y, height - bottom, top))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
           f'<text x="{left}" y="22" font-size="14" font-weight="bold">{html.escape(title)}</text>']
    for value in ticks(low_y, high_y, log_y):
        y = at(low_x, value)[1]
        out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{width - right}" y2="{y:.1f}" stroke="#dddddd"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label(value)}</text>')
    for value in ticks(low_x, high_x, log_x):
        x = at(value, low_y)[0]
        out.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{height - bottom}" stroke="#eeeeee"/>')
        out.append(f'<text x="{x:.1f}" y="{height - bottom + 18}" text-anchor="middle">{label(value)}</text>')
    middle = (left + width - right) / 2
    out.append(f'<text x="{middle}" y="{height - 14}" text-anchor="middle">{html.escape(x_label)}</text>')
    out.append(f'<text x="16" y="{(top + height - bottom) / 2}" text-anchor="middle" '
               f'transform="rotate(-90 16 {(top + height - bottom) / 2})">{html.escape(y_label)}</text>')
    for number, (who, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(line) <= 40:
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in (at(*point) for point in line)]
        y = top + 14 + 18 * number
        out.append(f'<line x1="{width - right + 12}" y1="{y - 4}" x2="{width - right + 32}" y2="{y - 4}" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="{width - right + 38}" y="{y}">{html.escape(who)}</text>')
    out.append("</svg>\n")
    PLOTS.mkdir(exist_ok=True)
    (PLOTS / f"{name}.svg").write_text("\n".join(out))
    return f"![{title}](plots/{name}.svg)"
