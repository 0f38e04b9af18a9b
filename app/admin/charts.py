"""Small drawings made on the server: no script, and in words for whoever cannot see them."""

from collections.abc import Sequence

from markupsafe import Markup

HEIGHT, STEP, WIDTH = 24, 6, 5  # of the drawing, from bar to bar, of a bar


def sparkline(counts: Sequence[int], told: str) -> Markup:
    """A bar for each count; `told` is what a screen reader says, and the tip of the mouse."""
    most = max([*counts, 1])
    bars = [
        Markup('<rect class="{}" x="{}" y="{:g}" width="{}" height="{:g}"></rect>').format(
            "some" if count else "none", at * STEP, HEIGHT - height, WIDTH, height
        )
        for at, count in enumerate(counts)
        # What is there can be seen, however small beside the largest.
        for height in [max(round(HEIGHT * count / most, 1), 2) if count else 1]
    ]
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        "<title>{}</title>{}</svg>"
    ).format(len(counts) * STEP, HEIGHT, told, told, Markup("").join(bars))
