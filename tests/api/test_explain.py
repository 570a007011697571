"""`pb.explain`: what the page says is true, nothing in it is unescaped, and it works in a browser."""

import importlib
import json
import re
import textwrap
from html.parser import HTMLParser

import browser
import numpy as np
import pytest
from kernels import KERNELS

import pullback as pb
from pullback.calls.tree import flatten
from pullback.explain.columns import columns
from pullback.explain.record import record
from pullback.explain.stages import stages_of
from pullback.ir.evaluate import evaluate
from pullback.ir.program import Var


def logistic(r, x, n):
    z = x
    for _ in range(n):
        if z > 0.5:
            z = r * z * (1.0 - z)
        else:
            z = np.sin(z) + 0.1
    return z


def doubled(x, n):
    for _ in range(n):
        x = 0.5 * x
    return x


def fails_with_array(x):
    assert x[0] < 0.5, "too large"
    return x * x


def squash(v):
    return np.tanh(v)  # a helper


def loss(w, X, y):
    z = squash(X @ w)
    return np.mean((z - y) ** 2), z.sum()


def scaled(x, c):
    return c * np.sin(x)


def loss_of_rows(X):
    y = np.sin(X)
    return np.sum(y * y)


def shifted(x):
    y = x[1:] - x[:-1]
    return np.sum(y * y)


def fails(x):
    y = np.sqrt(x)
    assert y[0] < 0.5, "too large"
    return y.sum() * 2.0


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False):
        yield


class Page(HTMLParser):
    """The elements of a page: their tags and attributes, the text of each line of the columns."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.lines, self.data, self.open = [], {}, "", []
        self.current = None
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)
        if tag == "div" and "line" in attributes.get("class", "").split():
            self.current = attributes["id"]
            self.lines[self.current] = ""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "code":
            self.current = None

    def handle_data(self, data):
        if self.current and "code" in self.open:
            self.lines[self.current] += data
        if self.elements and self.elements[-1][1].get("id") == "data":
            self.data += data

    @property
    def json(self):
        return json.loads(self.data)

    def column(self, key):
        return [text for name, text in self.lines.items() if name.startswith(f"{key}-")]


def last_values(page):
    """The text of the last value of every name."""
    data = page.json
    found = {}
    for _, _, bound, _ in data["steps"]:
        for name, value in zip(bound[::2], bound[1::2]):
            found[name] = data["values"][value]
    return found


def test_the_columns_are_the_stages():
    page = Page(pb.explain(logistic, 3.1, 0.3, 4).html)
    stages = pb.value_and_grad(logistic, (0, 1)).lower(3.1, 0.3, 4)
    assert page.column("program") == stages.program.__str__().splitlines()
    assert page.column("adjoint") == str(stages.derived).splitlines()
    assert [line.rstrip() for line in page.column("generated")] == str(stages.source).rstrip().splitlines()
    assert page.column("user")[0] == "def logistic(r, x, n):"


def test_values_are_those_of_the_gradient():
    page = Page(pb.explain(logistic, 3.1, 0.3, 4).html)
    value, (r_bar, x_bar) = pb.value_and_grad(logistic, (0, 1))(3.1, 0.3, 4)
    found = last_values(page)
    assert float(found["z"]["f"]) == pytest.approx(value)
    assert float(found["r_bar"]["f"]) == pytest.approx(r_bar)
    assert float(found["x_bar"]["f"]) == pytest.approx(x_bar)


def test_links_join_the_lines_that_belong_together():
    stages = stages_of(logistic, (3.1, 0.3, 4), None, None)
    found = columns(stages)
    line = next(k for k, row in enumerate(found.user) if "z * (1.0 - z)" in row.text)
    texts = {key: [r.text.strip() for r in rows if line in r.user] for key, rows in found.all().items()}
    assert texts["program"] == ["t_2: f64 = r * z_1", "t_3: f64 = 1.0 - z_1", "z_3: f64 = t_2 * t_3"]
    assert (
        "x = r * x * (1.0 - x)" in texts["generated"] and "t_3_bar = x_bar * (r * z_5)" in texts["generated"]
    )
    assert any("_bar" in text for text in texts["adjoint"])
    loop = [r.text.strip() for r in found.program if line - 2 in r.user]
    assert loop == ["for _ in range(n):", "z_1: f64 = phi(x, z_2)", "z: f64 = last(z_1)"]
    assert not any("sin" in text for key in ("program", "adjoint", "generated") for text in texts[key])


def test_generated_loops_belong_to_the_lines_in_them():
    found = columns(stages_of(loss_of_rows, (np.ones((3, 2)),), None, None))
    loops = [row for row in found.generated if row.text.lstrip().startswith("for ")]
    assert loops and all(row.user for row in loops)


def test_what_a_while_leaves_belongs_to_its_line():
    found = columns(stages_of(KERNELS["mandelbrot"][0], (0.1, 0.2), None, None))
    ends = [row for row in found.program if "= last(" in row.text]
    assert ends and all("while" in found.user[row.user[0]].text for row in ends)


def test_the_table_has_the_users_names():
    assert Page(pb.explain(logistic, 3.1, 0.3, 4).html).json["variables"] == ["r", "x", "n", "z", "_"]
    assert Page(pb.explain(shifted, np.ones(4)).html).json["variables"] == ["x", "y"]


def test_what_is_kept_and_where_it_is_used():
    text = re.sub(r"<[^>]+>", " ", pb.explain(logistic, 3.1, 0.3, 4).html.split('<section id="kept">')[1])
    first = logistic.__code__.co_firstlineno
    assert "saved each iteration" in text and "32 B" in text
    assert f"{first + 2}, {first + 3}, {first + 4}, {first + 6}" in text
    nothing = pb.explain(lambda x: 3.0 * x, 2.0).html.split('<section id="kept">')[1]
    assert "Nothing: the derivative does not depend" in nothing


def test_forward_and_reverse_are_told_apart():
    page = pb.explain(logistic, 3.1, 0.3, 4).html
    data = Page(page).json
    names = [bound[::2] for _, _, bound, _ in data["steps"]]
    turn = data["forward"]
    assert "z" in names[turn - 2] + names[turn - 1] and "k_1" not in sum(names[:turn], [])
    assert all("_bar" in " ".join(n) or "_1" in " ".join(n) or not n for n in names[turn : turn + 1])
    headings = re.findall(r'class="heading \w+">([^<]+)<', page)
    assert headings == ["forward sweep", "reverse sweep"]
    assert "part of the derivative of sin" in page and "computed a second time" in page


def test_arrays_seeds_and_helpers():
    x, c = np.array([0.1, 0.2, np.nan]), 2.0
    page = Page(pb.explain(scaled, x, c).html)
    found = last_values(page)
    assert found["x"]["s"] == "3" and found["x"]["bad"] == 1
    _, pull = pb.vjp(scaled, x[:2], c)
    seed = np.array([1.0, -3.0])
    found = last_values(Page(pb.explain(scaled, x[:2], c, seed=seed).html))
    numbers = [float(v) for v in found["x_bar"]["t"].strip("[]").split(",")]
    assert numbers == pytest.approx(pull(seed)[0], rel=1e-3)
    with pytest.raises(pb.PullbackError, match="shape"):
        pb.explain(scaled, x[:2], c, seed=np.ones(3))
    page = Page(pb.explain(pb.grad(loss, has_aux=True), np.ones(3), np.ones((4, 3)), np.zeros(4)).html)
    assert page.column("user")[0] == "def loss(w, X, y):" and "def squash(v):" in page.column("user")
    assert "w_bar" in page.json["steps"][-2][2] and "X_bar" not in last_values(page)


def test_functions_of_several_files_have_headings(tmp_path, monkeypatch):
    (tmp_path / "other_file.py").write_text("import numpy as np\n\n\ndef bent(x):\n    return np.tanh(x) * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    bent = importlib.import_module("other_file").bent

    def both(x):
        return bent(x) + squash(2.0 * x)

    page = pb.explain(both, 2.0).html
    found = re.findall(r'class="heading ">([^<]+)<', page)
    assert found.count("other_file.py") == 1 and found[0] == "test_explain.py"
    column = Page(page).column("user")
    assert "    return np.tanh(x) * x" in column and "    return np.tanh(v)  # a helper" in column
    assert "class=\"line apart\"" in pb.explain(lambda x: squash(x) * 2.0, 1.0).html


def test_a_long_run_is_cut_in_the_middle_of_each_sweep_and_says_so():
    page = Page(pb.explain(logistic, 3.1, 0.3, 150, steps=100).html)
    data = page.json
    steps = data["steps"]
    assert 90 <= len(steps) <= 102
    gaps = [k for k, step in enumerate(steps) if step[3]]
    assert len(gaps) == 2 and gaps[0] < data["forward"] < gaps[1]
    total = len(Page(pb.explain(logistic, 3.1, 0.3, 150, steps=20_000).html).json["steps"])
    assert sum(step[3] for step in steps) + len(steps) == total
    assert "operations are left out" in pb.explain(logistic, 3.1, 0.3, 150, steps=100).html
    everything = dict(zip(steps[gaps[1]][2][::2], steps[gaps[1]][2][1::2]))
    assert {"r", "z", "r_bar_1"} <= everything.keys(), "after a gap every value is known again"
    assert float(last_values(page)["r_bar"]["f"]) == pytest.approx(pb.grad(logistic)(3.1, 0.3, 150))


def test_a_run_that_is_too_long_is_stopped(monkeypatch):
    monkeypatch.setitem(record.__globals__, "LONGEST", 5000)
    stages = stages_of(doubled, (1.0, 10**9), None, None)
    recording = record(stages.adjoint, stages.args, stages.reverse, 100)
    assert recording.total == 5000 and recording.stopped and "stopped after 5,000" in recording.note
    assert len(recording.steps) == 101


def test_a_failing_run_is_shown_up_to_there():
    page = pb.explain(fails, np.ones(3)).html
    assert "The run failed: AssertionError: too large" in page
    assert "y" in last_values(Page(page))
    with pytest.raises(AssertionError, match="too large") as caught:  # without a value there is no seed
        pb.explain(fails_with_array, np.ones(3))
    assert "evaluate.py" not in {frame.path.name for frame in caught.traceback}


def test_text_of_the_user_cannot_leave_its_place(tmp_path):
    file = tmp_path / "odd.py"
    file.write_text(
        textwrap.dedent("""
        import numpy as np
        def café(x):
            s = '</script><script>alert("1")</script>' # <b>&amp; {{data}} {{name}}
            return np.sin(x) * len(s)
        """)
    )
    scope = {"__name__": "odd"}
    exec(compile(file.read_text(), str(file), "exec"), scope)
    page = Page(pb.explain(scope["café"], 1.0).html)
    assert page.column("user")[1] == (
        """    s = '</script><script>alert("1")</script>' # <b>&amp; {{data}} {{name}}"""
    )
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2 and "alert" not in tags
    assert page.json["variables"][0] == "x"
    assert not [a for _, a in page.elements for key in a if key.startswith("on")]
    framed = Page(pb.explain(scope["café"], 1.0)._repr_html_())
    assert [tag for tag, _ in framed.elements] == ["iframe"]
    assert Page(framed.elements[0][1]["srcdoc"]).column("user") == page.column("user")


def test_nothing_is_asked_of_the_network():
    page = pb.explain(logistic, 3.1, 0.3, 2).html
    assert "default-src 'none'" in page
    page = page.replace('xmlns="http://www.w3.org/2000/svg"', "")  # a name, not an address
    assert not re.search(r"https?:|url\(|@import|src=", page)


def test_functions_without_a_file(tmp_path):
    scope = {"np": np}
    exec("def f(x):\n    return np.sin(x) * x", scope)
    assert Page(pb.explain(scope["f"], 2.0).html).column("program")[0] == "def f(x: f64) -> f64:"
    target = pb.explain(lambda x: np.cos(x) * x, 2.0).save(tmp_path / "page.html")
    assert any("np.cos(x)" in line for line in Page(target.read_text()).column("user"))


def test_refusals():
    with pytest.raises(TypeError, match="no float among the arguments"):
        pb.explain(logistic, 3, 1, 2)
    with pytest.raises(TypeError, match="without a float"):
        pb.explain(lambda x: None, 1.0)
    with pytest.raises(ValueError, match="at least 8"):
        pb.explain(logistic, 3.1, 0.3, 2, steps=1)


@pytest.mark.parametrize(
    "name", ["cholesky", "early_return", "adaptive_ode", "masked_sizes", "swapped", "changing_rank", "kalman"]
)
def test_kernels(name):
    """Whatever the program: every step has its line, and the run ends with what vjp gives."""
    function, make, sizes, _ = KERNELS[name]
    args = make(np.random.default_rng(1), sizes[0])
    value, pull = pb.vjp(function, *args)
    bars = pull(np.ones_like(value) if np.ndim(value) else 1.0)
    stages = stages_of(function, args, None, None)
    found = columns(stages)
    ends = {}

    def watch(node, part, values, env):
        assert (id(node), "test" if part == "test" else "") in found.lines_of
        ends.update(values)

    evaluate(stages.adjoint, *stages.args, watch=watch)
    results = stages.adjoint.results[1 : 1 + len(stages.wrt)]
    expected = [bar for bar in flatten(bars)[0] if bar is not None]
    for result, bar in zip(results, expected, strict=True):
        assert np.allclose(ends[result.name] if isinstance(result, Var) else float(result.text), bar)
    page = Page(pb.explain(function, *args).html)
    assert all(0 <= step[0] < len(page.column("adjoint")) for step in page.json["steps"])


# -- in a browser --------------------------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(
    not (browser.CHROMIUM and browser.DRIVER), reason="there is no Chromium with its driver on this machine"
)


@pytest.fixture(scope="module")
def chromium():
    found = browser.Browser()
    yield found
    found.close()


def classes(chromium, kind):
    script = "return [...document.querySelectorAll('.line.' + arguments[0])].map(e => e.id)"
    return set(chromium.run(script, kind))


@pytest.mark.browser
@needs_browser
def test_the_page_in_a_browser(chromium, tmp_path):
    rng = np.random.default_rng(0)
    args = rng.normal(size=3), rng.normal(size=(4, 3)), rng.normal(size=4)
    chromium.open(pb.explain(pb.grad(loss, has_aux=True), *args).save(tmp_path / "page.html"))
    assert chromium.messages() == []
    assert [address for address in chromium.requests() if not address.startswith("file:")] == []
    assert chromium.run("return document.documentElement.dataset.ready") == "1"

    # pointing at a line of the user's lights up what belongs to it in all columns
    lines = chromium.run("return [...document.querySelectorAll('#user .line code')].map(e => e.textContent)")
    chromium.point(f"#user-{lines.index('    return np.tanh(v)  # a helper')} code")
    lit = classes(chromium, "lit")
    assert {name.partition("-")[0] for name in lit} == {"user", "program", "adjoint", "generated"}
    texts = [chromium.run("return document.getElementById(arguments[0]).textContent", name) for name in lit]
    assert any("tanh" in text for text in texts) and not any("@" in text for text in texts)

    # stepping changes values, forward then backward
    def cells():
        return chromium.run("return [...document.querySelectorAll('#state td')].map(e => e.textContent)")

    def now():
        return chromium.run("return document.getElementById('now').textContent")

    before = cells()
    assert now().startswith("0 / ") and "forward" in now()
    chromium.press("\ue014", "\ue014", "\ue014", "\ue014", "\ue014", "\ue014")  # arrow right
    assert now().startswith("6 / ") and cells() != before and classes(chromium, "now")
    middle = cells()
    chromium.press("r")
    assert "reverse" in now()
    chromium.press("\ue010")  # end
    assert cells() != middle
    value, w_bar = pb.value_and_grad(loss, has_aux=True)(*args)
    shown = chromium.run("return document.querySelector('#state td:nth-of-type(2) .text').textContent")
    assert [float(v) for v in shown.strip("[]").split(",")] == pytest.approx(w_bar, rel=1e-3)
    assert chromium.run("return document.querySelectorAll('#state canvas').length") >= 3

    # themes and columns by key; nothing went wrong on the way
    colour = "return getComputedStyle(document.body).backgroundColor"
    chromium.press("t")
    light = chromium.run(colour)
    chromium.press("t")
    assert chromium.run(colour) != light
    chromium.press("2", "5")
    hidden = "return document.getElementById(arguments[0]).hidden"
    assert chromium.run(hidden, "program") is True and chromium.run(hidden, "picture") is False
    chromium.point("#picture .spot.reverse[data-name=w_bar]")
    assert {"adjoint", "generated"} <= {name.partition("-")[0] for name in classes(chromium, "lit")}
    chromium.press("\ue012")  # arrow left
    assert chromium.messages() == []


@pytest.mark.browser
@needs_browser
def test_the_keyboard_reaches_lines_and_kept_values(chromium, tmp_path):
    chromium.open(pb.explain(logistic, 3.1, 0.3, 3).save(tmp_path / "page.html"))
    chromium.run("document.querySelector('#program .code').focus()")
    chromium.press("\ue015", "\ue015", "\ue015")  # arrow down
    assert "program-2" in classes(chromium, "cursor") and "program-2" in classes(chromium, "lit")
    chromium.press("\ue007")  # enter keeps it
    chromium.run("document.activeElement.blur()")
    assert classes(chromium, "pinned") == {"program-2"} and len(classes(chromium, "lit")) > 2
    chromium.press("\ue00c")  # escape
    assert classes(chromium, "lit") == set()
    chromium.run("document.querySelector('#kept tr.saved').focus()")
    texts = chromium.run(
        "return [...document.querySelectorAll('.line.lit code')].map(e => e.textContent.trim())"
    )
    assert any(".set(z_1)" in text for text in texts) and any(re.search(r"saved_1\[", text) for text in texts)


@pytest.mark.browser
@needs_browser
def test_the_page_fits_narrow_windows_and_paper(chromium, tmp_path):
    chromium.open(pb.explain(logistic, 3.1, 0.3, 3).save(tmp_path / "page.html"))
    chromium.command(
        "Emulation.setDeviceMetricsOverride", width=420, height=800, deviceScaleFactor=1, mobile=False
    )
    assert chromium.run("return document.documentElement.scrollWidth") <= 420
    chromium.command("Emulation.setEmulatedMedia", media="print")
    visible = "return getComputedStyle(document.querySelector(arguments[0])).display"
    assert chromium.run(visible, ".transport") == "none" and chromium.run(visible, "#adjoint") == "block"
    hidden = chromium.run(
        "return [...document.querySelectorAll('.code, .column, .panes section')]"
        ".filter(e => e.scrollHeight > e.clientHeight + 1).length"
    )
    assert hidden == 0, "on paper every line is there"
    chromium.command("Emulation.setEmulatedMedia", media="")
    chromium.command("Emulation.clearDeviceMetricsOverride")


def test_forward_mode_is_explained():
    """The tangent stands where the adjoint stands, and nothing is kept."""

    def damped(x, n):
        for _ in range(n):
            x = x * np.cos(x)
        return x

    x = np.array([0.5, 1.0])
    page = pb.explain(damped, x, 3, forward=True, seed=np.array([1.0, 0.0]))
    assert ">Tangent <small>" in page.html and "forward mode keeps nothing" in page.html and "direction: " in page.html
    data = json.loads(re.search(r"<script[^>]*json[^>]*>(.*?)</script>", page.html, re.DOTALL)[1])
    assert data["forward"] == len(data["steps"]) - 1  # only the return is behind it
    assert "x_dot" in {name for row in data["columns"]["adjoint"] for name in row.get("names", [])}
    assert pb.explain(pb.grad(damped), 0.5, 3, forward=True).steps == pb.explain(damped, 0.5, 3, forward=True).steps
    with pytest.raises(ValueError, match=r"the direction has the shapes \(3,\); the arguments that are"):
        pb.explain(damped, x, 3, forward=True, seed=np.ones(3))
