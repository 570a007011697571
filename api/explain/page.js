"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { columns, steps, values, variables, primal } = data;
  const keys = ["user", "program", "adjoint", "generated"];
  const $ = (id) => document.getElementById(id);
  const row = (key, k) => $(`${key}-${k}`);
  const make = (tag, attributes = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  };

  // -- links: which lines belong to a line --------------------------------------------------------------

  const byName = {}, byBase = {}, byUser = {};
  const put = (table, key, place) => (table[key] ??= []).push(place);
  for (const key of keys) {
    columns[key].forEach((line, k) => {
      for (const name of line.names ?? []) {
        put(byName, name, [key, k]);
        if (primal[name]) put(byBase, primal[name], [key, k]);
      }
      for (const u of line.user ?? []) put(byUser, u, [key, k]);
    });
  }

  const related = (key, k) => {
    const line = columns[key][k];
    const lit = new Map(), near = new Map();
    const add = (map, places) => places?.forEach(([c, r]) => map.set(`${c}-${r}`, [c, r]));
    add(lit, [[key, k]]);
    for (const name of line.names ?? []) {
      add(lit, byName[name]);
      add(lit, byBase[name]);
      if (primal[name]) add(near, byName[primal[name]]);
    }
    for (const u of line.user ?? []) {
      add(lit, [["user", u]]);
      add(key === "user" ? lit : near, byUser[u]);
    }
    return { lit, near };
  };

  let pinned = null;
  const spots = {};
  document.querySelectorAll("#picture .spot").forEach((spot) => { spots[spot.dataset.name] = spot; });
  const clear = () => document
    .querySelectorAll(".line.lit, .line.near, .line.made, .line.used, .line.pinned, .spot.lit")
    .forEach((e) => e.classList.remove("lit", "near", "made", "used", "pinned"));
  const light = (key, k) => {
    clear();
    const { lit, near } = related(key, k);
    for (const id of near.keys()) $(id)?.classList.add("near");
    for (const id of lit.keys()) $(id)?.classList.add("lit");
    for (const [c, r] of lit.values())
      if (c === "adjoint" && (c === key || r === k || columns[c][r].names?.length === 1))
        for (const name of columns[c][r].names ?? []) spots[name]?.classList.add("lit");
    if (pinned) row(...pinned).classList.add("pinned");
  };
  const restore = () => (pinned ? light(...pinned) : clear());
  const show = (element) => {
    const box = element.closest(".code");
    const here = element.getBoundingClientRect(), around = box.getBoundingClientRect();
    if (here.top < around.top + 20 || here.bottom > around.bottom - 20)
      box.scrollTop += here.top - around.top - box.clientHeight / 3;
  };
  const bringIntoView = (key, k) => {
    const seen = new Set([key]);
    for (const [c, r] of [...related(key, k).lit.values(), ...related(key, k).near.values()]) {
      if (!seen.has(c)) show(row(c, r));
      seen.add(c);
    }
  };
  const pin = (key, k) => {
    pinned = pinned && pinned[0] === key && pinned[1] === k ? null : [key, k];
    if (!pinned) return clear();
    light(key, k);
    bringIntoView(key, k);
  };
  for (const key of keys) {
    const box = $(key).querySelector(".code");
    const place = (event) => {
      const line = event.target.closest(".line");
      return line && Number(line.id.split("-")[1]);
    };
    let cursor = null;
    const move = (k) => {
      box.querySelector(".cursor")?.classList.remove("cursor");
      cursor = k;
      if (k === null) return;
      row(key, k).classList.add("cursor");
      show(row(key, k));
      light(key, k);
    };
    box.addEventListener("mouseover", (event) => {
      const k = place(event);
      if (k !== null) light(key, k);
    });
    box.addEventListener("mouseleave", restore);
    box.addEventListener("click", (event) => {
      const k = place(event);
      if (k !== null && !String(getSelection())) pin(key, k);
    });
    box.addEventListener("blur", () => { move(null); restore(); });
    box.addEventListener("keydown", (event) => {
      const last = columns[key].length - 1;
      if (event.key === "ArrowDown") move(Math.min(last, cursor === null ? 0 : cursor + 1));
      else if (event.key === "ArrowUp") move(Math.max(0, (cursor ?? 1) - 1));
      else if (event.key === "Enter" && cursor !== null) pin(key, cursor);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
  $("picture").addEventListener("mouseover", (event) => {
    const name = event.target.closest(".spot")?.dataset.name;
    const place = byName[name]?.find(([c]) => c === "adjoint");
    if (place) light(...place);
    else restore();
  });
  $("picture").addEventListener("mouseleave", restore);
  document.querySelectorAll("#kept tr[data-rows]").forEach((line) => {
    const [made, used] = JSON.parse(line.dataset.rows);
    const on = () => {
      clear();
      for (const k of made) row("adjoint", k).classList.add("lit", "made");
      for (const k of used) row("adjoint", k).classList.add("lit", "used");
    };
    line.addEventListener("mouseenter", on);
    line.addEventListener("focus", on);
    line.addEventListener("mouseleave", restore);
    line.addEventListener("blur", restore);
    line.addEventListener("click", () => {
      const first = [...made, ...used][0];
      if (first !== undefined) show(row("adjoint", first));
    });
  });

  // -- values -------------------------------------------------------------------------------------------

  const stem = (name) => name.replace(/_\d+$/, "");
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const parse = (name) => {
      const text = style.getPropertyValue(name).trim().slice(1);
      const wide = text.length === 3 ? [...text].map((c) => c + c).join("") : text;
      return [0, 2, 4].map((k) => parseInt(wide.slice(k, k + 2), 16));
    };
    return { plus: parse("--plus"), minus: parse("--minus"), zero: parse("--zero"), nan: parse("--nan") };
  };
  let palette = colours();
  const heat = (value, tall) => {
    const cells = atob(value.q);
    const canvas = make("canvas", { width: Math.max(value.c, 1), height: Math.max(value.r, 1), className: "heat" });
    const unit = tall ? Math.max(3, Math.min(12, Math.floor(150 / value.c), Math.floor(54 / value.r) || 3)) : Math.max(2, Math.min(4, Math.floor(64 / value.c)));
    canvas.style.width = `${Math.max(value.c * unit, 6)}px`;
    canvas.style.height = `${tall ? Math.max(value.r * unit, 10) : 10}px`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${value.s}: ${value.t}`);
    canvas.title = `${value.s}${value.part ? ", a sample of the elements" : ""}: ${value.t}`;
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    for (let k = 0; k < cells.length; k++) {
      const code = cells.charCodeAt(k);
      const level = Math.abs(code - 128) / 127;
      const end = code === 0 ? palette.nan : code > 128 ? palette.plus : palette.minus;
      const share = code === 0 ? 1 : Math.sqrt(level);
      for (let c = 0; c < 3; c++) image.data[4 * k + c] = palette.zero[c] + share * (end[c] - palette.zero[c]);
      image.data[4 * k + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  };
  const full = (k) => {
    const value = values[k];
    const found = make("span");
    if (value.q !== undefined) {
      found.append(heat(value, true), make("span", { className: "shape", textContent: value.s }));
    }
    found.append(make("span", { className: "text", textContent: value.t, title: value.f ?? value.t }));
    if (value.bad) found.append(make("span", { className: "bar", textContent: `${value.bad} not finite` }));
    return found;
  };
  const brief = (k) => {
    const value = values[k];
    return value.q === undefined ? make("span", { textContent: value.t, title: value.f }) : heat(value, false);
  };
  const owner = (name) => {
    const of = primal[name];
    return of === undefined ? [stem(name), 0] : [stem(of), 1];
  };

  /** What is known after step `at`: by name, and by the user's name (value, cotangent). */
  const stateAt = (at) => {
    const names = new Map(), state = new Map();
    for (let k = 0; k <= at; k++) {
      const bound = steps[k][2];
      for (let j = 0; j < bound.length; j += 2) {
        const name = bound[j];
        names.set(name, bound[j + 1]);
        const [variable, which] = owner(name);
        if (/_saved(_\d+)?$/.test(name)) continue;
        if (!state.has(variable)) state.set(variable, [null, null, -1, -1]);
        const entry = state.get(variable);
        entry[which] = bound[j + 1];
        entry[2 + which] = k;
      }
    }
    return { names, state };
  };

  // -- stepping -----------------------------------------------------------------------------------------

  const slider = $("slider");
  slider.max = steps.length - 1;
  let at = 0, timer = null;
  const table = $("state").querySelector("tbody");
  const cells = new Map(variables.map((name) => {
    const value = make("td"), bar = make("td");
    table.append(make("tr", {}, make("th", { scope: "row", textContent: name }), value, bar));
    return [name, [value, bar]];
  }));

  /** The loops around a row of the adjoint with the numbers they are at. */
  const loops = (k, names) => {
    const depth = (r) => row("adjoint", r).querySelector("code").textContent.search(/\S/);
    const found = [];
    for (let r = k, level = depth(k) + 1; r >= 0; r--) {
      const here = depth(r);
      if (here >= level) continue;
      level = here;
      const index = columns.adjoint[r].index;
      if (index && names.has(index)) found.unshift(`${stem(index)} = ${values[names.get(index)].t}`);
    }
    return found.join(", ");
  };

  const rowsNow = (step) => {
    const [k, part, bound] = step;
    const names = bound.filter((_, j) => j % 2 === 0);
    const found = { user: new Set(), program: new Set(), adjoint: new Set([k]), generated: new Set() };
    if (part === "arguments" || part === "return") return found;
    if (step[3]) return found;
    for (const name of names) {
      for (const [c, r] of byName[name] ?? []) if (c !== "user") found[c].add(r);
      for (const [c, r] of byName[primal[name]] ?? []) if (c === "program") found.program.add(r);
    }
    for (const r of found.adjoint) for (const u of columns.adjoint[r].user ?? []) found.user.add(u);
    return found;
  };

  columns.user.forEach((line, r) => {
    const named = (byUser[r] ?? []).some(([c, q]) => c === "adjoint" &&
      (columns.adjoint[q].names ?? []).some((name) => variables.includes(owner(name)[0])));
    row("user", r).classList.toggle("valued", named);
  });

  const chips = (names) => {
    document.querySelectorAll(".chip").forEach((chip) => chip.replaceChildren());
    for (const key of ["program", "adjoint"]) {
      columns[key].forEach((line, r) => {
        if (r === 0 || line.names?.length !== 1 || !names.has(line.names[0])) return;
        const reverse = line.sweep === "reverse";
        row(key, r).querySelector(".chip").append(make("span", { className: reverse ? "reverse" : "" }, brief(names.get(line.names[0]))));
      });
    }
    columns.user.forEach((line, r) => {
      const here = { 0: new Map(), 1: new Map() };
      for (const [c, q] of byUser[r] ?? []) {
        if (c !== "adjoint") continue;
        for (const name of columns.adjoint[q].names ?? []) {
          const [variable, which] = owner(name);
          const restored = which === 0 && columns.adjoint[q].sweep === "reverse";
          if (names.has(name) && variables.includes(variable) && !restored) here[which].set(variable, names.get(name));
        }
      }
      const chip = row("user", r).querySelector(".chip");
      for (const [name, value] of here[0]) chip.append(make("span", {}, `${name} `, brief(value)));
      for (const [name, value] of here[1])
        chip.append(make("span", { className: "reverse" }, make("span", { className: "over", textContent: name }), " ", brief(value)));
    });
  };

  const render = (follow) => {
    const step = steps[at];
    const [k, part, bound, skipped] = step;
    const reversing = at >= data.forward;
    document.body.classList.toggle("reversing", reversing);
    slider.value = at;
    slider.setAttribute("aria-valuetext", `step ${at} of ${steps.length - 1}, ${reversing ? "reverse" : "forward"}`);
    const { names, state } = stateAt(at);
    document.querySelectorAll(".now:not(output)").forEach((e) => e.classList.remove("now"));
    for (let j = 0; j < bound.length && !skipped; j += 2) spots[bound[j]]?.classList.add("now");
    const now = rowsNow(step);
    for (const key of keys) {
      for (const r of now[key]) row(key, r).classList.add("now");
      if (follow && now[key].size) show(row(key, key === "adjoint" ? k : Math.min(...now[key])));
    }
    const text = { arguments: "the arguments", return: "the results", exit: "the loop ends" }[part];
    const source = row("adjoint", k).querySelector("code").textContent.trim().replace(/: (f64|f32|i64|bool)(\[[^\]]*\])? =/, " =");
    const value = bound.length === 2 && !skipped ? values[bound[1]].t : "";
    const where = loops(k, names);
    $("now").replaceChildren(
      make("b", { textContent: `${at} / ${steps.length - 1} ${reversing ? "reverse" : "forward"}` }), "  ",
      make("i", { textContent: where ? `${where}:  ` : "" }),
      skipped ? `… ${skipped.toLocaleString("en")} operations later: ` : "", text ?? source, value && !text ? `  →  ${value}` : "");
    chips(names);
    for (const [name, tds] of cells) {
      const entry = state.get(name);
      tds.forEach((td, which) => {
        td.replaceChildren(...(entry && entry[which] !== null ? [full(entry[which])] : []));
        td.classList.toggle("fresh", Boolean(entry) && entry[2 + which] === at && !skipped);
      });
    }
  };
  const go = (k, follow = true) => { at = Math.max(0, Math.min(steps.length - 1, k)); render(follow); };
  const stop = () => { clearInterval(timer); timer = null; $("play").textContent = "▶ play"; };
  const play = () => {
    if (timer) return stop();
    if (at === steps.length - 1) go(0);
    $("play").textContent = "❚❚ stop";
    timer = setInterval(() => (at < steps.length - 1 ? go(at + 1) : stop()), Math.max(40, Math.min(700, 20000 / steps.length)));
  };
  const lineOf = (k) => String(columns.adjoint[steps[k][0]].user ?? "");
  const byLine = (way) => {
    let k = at + way;
    while (k > 0 && k < steps.length - 1 && (lineOf(k) === lineOf(at) || lineOf(k) === "")) k += way;
    go(k);
  };
  slider.addEventListener("input", () => go(Number(slider.value)));
  const buttons = { first: () => go(0), back: () => go(at - 1), play, next: () => go(at + 1), last: () => go(steps.length - 1) };
  for (const [id, action] of Object.entries(buttons)) {
    $(id).addEventListener("click", () => { if (id !== "play") stop(); action(); });
  }

  // -- themes, columns, keys ----------------------------------------------------------------------------

  const themes = ["", "light", "dark"];
  let theme = 0;
  const setTheme = (k) => {
    theme = k % 3;
    if (themes[theme]) document.documentElement.dataset.theme = themes[theme];
    else delete document.documentElement.dataset.theme;
    $("theme").textContent = `theme: ${themes[theme] || "system"}`;
    palette = colours();
    render(false);
  };
  $("theme").addEventListener("click", () => setTheme(theme + 1));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(theme));
  addEventListener("beforeprint", () => {
    const before = at;
    go(steps.length - 1, false);
    palette = { plus: [194, 65, 12], minus: [29, 95, 168], zero: [243, 240, 232], nan: [163, 168, 174] };
    $("picture").querySelector("svg").style.width = "";
    render(false);
    addEventListener("afterprint", () => { palette = colours(); fit(); go(before, false); }, { once: true });
  });

  /** The picture as wide as its column, but not too small to read. */
  const fit = () => {
    const drawing = $("picture").querySelector("svg");
    const natural = drawing.viewBox.baseVal.width, room = $("picture").clientWidth - 24;
    if (room > 0) drawing.style.width = `${Math.min(natural, Math.max(room, 0.62 * natural))}px`;
  };
  addEventListener("resize", fit);
  const panels = [...keys, "picture"];
  const toggles = panels.map((key, k) => {
    const button = make("button", { type: "button", textContent: `${k + 1} ${$(`${key}-title`).firstChild.textContent.trim()}` });
    button.setAttribute("aria-pressed", String(!$(key).hidden));
    button.title = `show or hide this column (${k + 1})`;
    button.addEventListener("click", () => {
      const hide = !$(key).hidden;
      if (hide && panels.filter((other) => !$(other).hidden).length === 1) return;
      $(key).hidden = hide;
      fit();
      button.setAttribute("aria-pressed", String(!hide));
    });
    document.querySelector(".toggles").append(button);
    return button;
  });
  const help = () => {
    $("keys").hidden = !$("keys").hidden;
    $("help").setAttribute("aria-expanded", String(!$("keys").hidden));
  };
  $("help").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      ArrowRight: () => (event.shiftKey ? byLine(1) : go(at + 1)), ArrowLeft: () => (event.shiftKey ? byLine(-1) : go(at - 1)),
      Home: () => go(0), End: () => go(steps.length - 1), PageDown: () => go(at + 10), PageUp: () => go(at - 10),
      r: () => go(data.forward), t: () => setTheme(theme + 1), "?": help,
      Escape: () => { pinned = null; clear(); }, " ": play,
      1: () => toggles[0].click(), 2: () => toggles[1].click(), 3: () => toggles[2].click(), 4: () => toggles[3].click(),
      5: () => toggles[4].click(),
    };
    if (!(event.key in actions) || (event.key === " " && event.target.closest("button"))) return;
    if (event.key !== " " && event.key !== "t" && event.key !== "?") stop();
    event.preventDefault();
    actions[event.key]();
  });

  const share = steps.length > 1 ? Math.max(0, data.forward - 0.5) / (steps.length - 1) : 1;
  document.querySelector(".sweeps .forward").style.flex = `${share} 1 0`;
  document.querySelector(".sweeps .reverse").style.flex = `${1 - share} 1 0`;
  document.querySelector(".sweeps .reverse").hidden = share >= 1;
  document.querySelector(".transport").hidden = false;
  $("state").hidden = false;
  setTheme(0);
  document.documentElement.dataset.ready = "1";
})();
