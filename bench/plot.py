"""Line charts as SVG, readable on light and on dark pages; nothing but the standard library."""
import dataclasses
import html
import math

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 74, 190, 52, 56
# Middle tones: they stand out from white and from near black.
COLOURS = ("#2f81f7", "#e8590c", "#2da44e", "#a371f7", "#8b949e", "#d4a72c", "#d6409f", "#1b9e9e")
MARKS = ("circle", "square", "diamond", "triangle")
MARKED = 40  # points, at most, of a line that shows each
STYLE = """
.page{fill:#ffffff}.text{fill:#24292f}.faint{stroke:#d0d7de}.axis{stroke:#57606a}
@media (prefers-color-scheme: dark){.page{fill:#0d1117}.text{fill:#e6edf3}.faint{stroke:#30363d}.axis{stroke:#8b949e}}
text{font-family:system-ui,sans-serif;font-size:12px}.title{font-size:15px;font-weight:600}
"""


@dataclasses.dataclass
class Series:
    name: str
    points: list            # of (x, y)
    colour: int = 0         # which of COLOURS
    dashed: bool = False


@dataclasses.dataclass
class Axis:
    label: str
    log: bool = False
    ticks: list = dataclasses.field(default_factory=list)
    low: float = 0
    high: float = 1

    def fit(self, values):
        """Chooses the range, and the ticks where none are given."""
        low, high = min(values), max(values)
        if self.log:
            self.low, self.high = low / 1.08, high * 1.08
            self.ticks = self.ticks or logarithmic(self.low, self.high)
            self.low, self.high = min([self.low, *self.ticks]), max([self.high, *self.ticks])
        else:
            self.ticks = self.ticks or linear(high)
            self.low, self.high = 0, max([high, *self.ticks])

    def place(self, value):
        """0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(high):
    step = 10 ** math.floor(math.log10(high or 1))
    step = next(step * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2, 5) if high / (step * part) <= 7)
    return [step * i for i in range(math.ceil(high / step) + 1)]


def logarithmic(low, high):
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    parts = (1,) if last - first > 4 else (1, 2, 5)
    every = [part * 10.0 ** power for power in range(first, last + 1) for part in parts]
    # One beyond each end, so that no line leaves the grid.
    below = [tick for tick in every if tick <= low][-1:]
    return below + [tick for tick in every if low < tick < high] + [tick for tick in every if tick >= high][:1]


def number(value):
    if value >= 1e6 and math.log10(value).is_integer():
        return f"10{''.join('⁰¹²³⁴⁵⁶⁷⁸⁹'[int(digit)] for digit in str(int(math.log10(value))))}"
    return f"{value:,.0f}" if value >= 10 or float(value).is_integer() else f"{value:g}"


def chart(path, title, x, y, series):
    """Writes one chart; `x` and `y` are axes without a range yet."""
    series = [each for each in series if each.points]
    x.fit([at for each in series for at, _ in each.points])
    y.fit([value for each in series for _, value in each.points])
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def across(value):
        return LEFT + wide * x.place(value)

    def down(value):
        return TOP + high * (1 - y.place(value))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
           f'aria-label="{html.escape(title)}">', f"<style>{STYLE}</style>", f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
           f'<text class="text title" x="{LEFT}" y="28">{html.escape(title)}</text>']
    for tick in y.ticks:
        at = down(tick)
        out += [f'<line class="faint" x1="{LEFT}" x2="{LEFT + wide}" y1="{at:.1f}" y2="{at:.1f}"/>',
                f'<text class="text" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{number(tick)}</text>']
    for tick in x.ticks:
        at = across(tick)
        out += [f'<line class="faint" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{TOP + high}"/>',
                f'<text class="text" x="{at:.1f}" y="{TOP + high + 18}" text-anchor="middle">{number(tick)}</text>']
    out += [f'<path class="axis" fill="none" d="M{LEFT},{TOP}V{TOP + high}H{LEFT + wide}"/>',
            f'<text class="text" x="{LEFT + wide / 2}" y="{HEIGHT - 14}" text-anchor="middle">{html.escape(x.label)}</text>',
            f'<text class="text" transform="translate(18,{TOP + high / 2}) rotate(-90)" text-anchor="middle">{html.escape(y.label)}</text>']
    for row, each in enumerate(series):
        colour, dash = COLOURS[each.colour % len(COLOURS)], ' stroke-dasharray="5 4"' if each.dashed else ""
        line = " ".join(f"{across(at):.1f},{down(value):.1f}" for at, value in each.points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if len(each.points) <= MARKED:
            out += [mark(each.colour, across(at), down(value), colour, each.dashed) for at, value in each.points]
        left, top = WIDTH - RIGHT + 16, TOP + 8 + 20 * row
        out += [f'<line x1="{left}" x2="{left + 26}" y1="{top}" y2="{top}" stroke="{colour}" stroke-width="2"{dash}/>',
                mark(each.colour, left + 13, top, colour, each.dashed),
                f'<text class="text" x="{left + 33}" y="{top + 4}">{html.escape(each.name)}</text>']
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*out, "</svg>"]) + "\n")


def mark(which, x, y, colour, hollow):
    """The shape tells series apart where the colour does not."""
    paint = f'class="page" stroke="{colour}" stroke-width="1.5"' if hollow else f'fill="{colour}"'
    shapes = {
        "circle": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" {paint}/>',
        "square": f'<rect x="{x - 3.2:.1f}" y="{y - 3.2:.1f}" width="6.4" height="6.4" {paint}/>',
        "diamond": f'<path d="M{x:.1f},{y - 4.5:.1f}l4.5,4.5l-4.5,4.5l-4.5,-4.5z" {paint}/>',
        "triangle": f'<path d="M{x:.1f},{y - 4.5:.1f}l4.5,8h-9z" {paint}/>',
    }
    return shapes[MARKS[which % len(MARKS)]]
