"use strict";
(() => {
  // Text from files goes into the page as text nodes and as values of charts' data, never as HTML or as an expression.
  const data = JSON.parse(document.getElementById("data").textContent);
  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const PAGE = 20, MOST_OPTIONS = 300, COLOURS = [0, 1, 2, 3, 4, 5, 6, 7].map((k) => `var(--c${k})`);
  const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"];
  const byId = (id) => document.getElementById(id);
  const copy = (spec) => JSON.parse(JSON.stringify(spec));
  const steps = (text) => Array.from(text, (c) => (c === "." ? null : ALPHABET.indexOf(c) / 63));
  const make = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const show = (x, digits = 3) => {
    if (x === null || x === undefined) return "–";
    if (Math.abs(x) >= 1e5 || (x !== 0 && Math.abs(x) < 1e-3)) return x.toExponential(digits - 1);
    return Number(x.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits }).replace("-", "\u2212");
  };
  const fixed = (x) => (x === null ? "–" : x.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "\u2212"));
  const narrow = () => window.innerWidth < 640;
  // Long names lose their middles, and have a number where several would then be alike; tooltips have them whole.
  const shortened = (names) => {
    const longest = narrow() ? 15 : 24, half = Math.floor((longest - 1) / 2);
    const cut = names.map((name) => {
      const signs = Array.from(name);
      return signs.length <= longest ? name : `${signs.slice(0, half).join("")}…${signs.slice(-half).join("")}`;
    });
    return cut.map((short, k) => (cut.indexOf(short) === cut.lastIndexOf(short) ? short : `${k + 1}: ${short}`));
  };
  const draw = async (place, spec) => {
    if (narrow()) Object.assign(spec.config, { axis: { ...spec.config.axis, labelLimit: 100 }, legend: { ...spec.config.legend, columns: 2 } });
    if (place.classList.contains("square")) spec.height = Math.round(0.92 * place.clientWidth);
    const old = place.view;
    const made = await vegaEmbed(place, spec, { actions: false, renderer: "svg", mode: "vega-lite", tooltip: { theme: "custom" } });
    if (old) old.finalize();
    place.view = made.view;
    place.dataset.drawn = "yes";
    const svg = place.querySelector("svg");
    for (const name of ["role", "aria-label", "aria-roledescription"]) place.removeAttribute(name);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", spec.description);
  };
  const failed = (error) => { document.body.dataset.error = String(error); console.error(error); };

  // Charts are drawn one after the other while the page is idle: the first are there at once.
  const queue = [];
  const later = window.requestIdleCallback || ((work) => setTimeout(work, 1));
  const work = () => {
    const next = queue.shift();
    if (next) next().catch(failed).finally(() => later(work));
    else document.body.dataset.ready = "yes";
  };

  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = data.charts[place.dataset.chart];
    if (spec) queue.push(() => draw(place, spec));
  }

  // A table that is wider than its place can be reached by keyboard, and a hint is shown above it.
  for (const region of document.querySelectorAll(".scroll")) {
    const place = region.parentElement, hint = place.previousElementSibling;
    const look = () => {
      const beyond = region.scrollWidth - region.clientWidth, wide = beyond > 1;
      hint.hidden = !wide;
      if (wide) region.tabIndex = 0; else region.removeAttribute("tabindex");
      place.toggleAttribute("data-wide", wide);
      place.toggleAttribute("data-right", wide && beyond - region.scrollLeft > 1);
    };
    region.addEventListener("scroll", look, { passive: true });
    const sizes = new ResizeObserver(look);
    for (const box of [region, region.firstElementChild]) sizes.observe(box);
  }

  // Columns: index of each part in a row, as browser.py writes it.
  const [VIEW, NAME, LABELS, LOW, HIGH, OBSERVED, IMPUTED, MEAN, MEAN_I, SD, SD_I, SHIFT, R2, TOP, SHARES, SHARES_I] = Array(16).keys();
  const { compare } = new Intl.Collator("en", { numeric: true });  // made once: it is what takes time
  const texts = data.columns.map((column) => `${data.views[column[VIEW]]} ${column[NAME]}`.toLowerCase());
  const orders = {
    name: (a, b) => compare(a[NAME], b[NAME]),
    shift: (a, b) => Math.abs(b[SHIFT] ?? -1) - Math.abs(a[SHIFT] ?? -1),
    "r2-high": (a, b) => (b[R2] ?? -Infinity) - (a[R2] ?? -Infinity),
    "r2-low": (a, b) => (a[R2] ?? Infinity) - (b[R2] ?? Infinity),
    imputed: (a, b) => b[IMPUTED] - a[IMPUTED],
  };
  let found = data.columns, page = 0, chosen = null;

  const sparkline = (column) => {
    const SVG = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 120 28");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    const words = column[LABELS].length
      ? `shares of ${column[LABELS].length} levels`
      : `observed mean ${show(column[MEAN])}, imputed mean ${show(column[MEAN_I])}`;
    svg.setAttribute("aria-label", words);
    for (const [text, style] of [[column[SHARES], "fill:var(--observed-soft)"], [column[SHARES_I], "fill:none;stroke:var(--imputed);stroke-width:1.5"]]) {
      const heights = steps(text);
      if (!heights.length) continue;
      const w = 120 / heights.length;
      const path = document.createElementNS(SVG, "path");
      const line = heights.map((h, k) => `V${(27 - 25 * h).toFixed(1)}H${((k + 1) * w).toFixed(1)}`).join("");
      path.setAttribute("d", `M0 27${line}V27`);
      path.setAttribute("style", `${style};vector-effect:non-scaling-stroke`);
      svg.append(path);
    }
    return svg;
  };

  const columnChart = (column) => {
    const counts = `${column[OBSERVED].toLocaleString("en")} observed, ${column[IMPUTED].toLocaleString("en")} imputed`;
    const means = column[LABELS].length
      ? "" : `; mean ${show(column[MEAN])} ± ${show(column[SD])}` + (column[IMPUTED] ? `, imputed ${show(column[MEAN_I])} ± ${show(column[SD_I])}` : "");
    byId("column-title").textContent = `${data.views[column[VIEW]]}: ${column[NAME]}`;
    byId("column-title").append(make("small", ` ${counts}${means}`));
    const spec = copy(data.templates[column[LABELS].length ? "levels" : "numbers"]);
    const kinds = [["observed", column[SHARES]], ["imputed", column[SHARES_I]]];
    const names = shortened(column[LABELS]), width = column[LABELS].length ? 0 : (column[HIGH] - column[LOW]) / 20;
    spec.data.values = kinds.flatMap(([kind, text]) => steps(text).map((h, k) => ({
      kind, share: h * column[TOP], level: names[k], full: column[LABELS][k], low: column[LOW] + k * width, high: column[LOW] + (k + 1) * width,
    })));
    if (column[LABELS].length) spec.height *= 2 * column[LABELS].length;
    else spec.layer = spec.layer.filter((_, k) => kinds[k][1]);  // one without values has no extent
    spec.description = `${column[NAME]}: ${counts}${means}`;
    return draw(byId("column-chart"), spec);
  };

  const columnRows = () => {
    const body = document.querySelector("#column-table tbody"), pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    body.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map((column) => {
      const row = make("tr", undefined, { "aria-selected": column === chosen }), head = make("th", undefined, { scope: "row" });
      const pick = make("button", column[NAME], { type: "button", class: "pick" });
      pick.addEventListener("click", () => {
        chosen = column;
        for (const other of body.children) other.setAttribute("aria-selected", other === row);
        columnChart(column).catch(failed);
        const place = byId("column-title").getBoundingClientRect();
        if (place.bottom > window.innerHeight) byId("column-title").scrollIntoView({ block: "center" });
      });
      head.append(pick);
      const picture = make("td");
      picture.append(sparkline(column));
      const cells = [column[OBSERVED].toLocaleString("en"), column[IMPUTED].toLocaleString("en"), fixed(column[SHIFT]), fixed(column[R2])];
      row.append(head, make("td", data.views[column[VIEW]], { class: "view" }), picture, ...cells.map((text) => make("td", text, { class: "n" })));
      return row;
    }));
    const all = found.length === data.columns.length;
    byId("column-count").textContent = `${found.length.toLocaleString("en")}${all ? "" : ` of ${data.columns.length.toLocaleString("en")}`} columns`;
    byId("column-page").textContent = `page ${(page + 1).toLocaleString("en")} of ${pages.toLocaleString("en")}`;
    byId("column-before").disabled = page === 0;
    byId("column-after").disabled = page === pages - 1;
  };
  const search = () => {
    const words = byId("column-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    found = data.columns.filter((_, k) => words.every((word) => texts[k].includes(word)));
    const order = orders[byId("column-sort").value];
    if (order) found = found.sort(order);
    page = 0;
    columnRows();
  };
  byId("column-search").addEventListener("input", search);
  byId("column-sort").addEventListener("change", search);
  byId("column-before").addEventListener("click", () => { page -= 1; columnRows(); });
  byId("column-after").addEventListener("click", () => { page += 1; columnRows(); });
  chosen = data.columns.find((column) => column[IMPUTED] > 0 && column[SD] !== 0) ?? data.columns[0];
  columnRows();
  queue.push(() => columnChart(chosen));

  // The map.
  const [C_VIEW, C_NAME, C_LABELS, C_LOW, C_HIGH, C_CELLS] = Array(6).keys();
  const patternOf = (has) => data.views.filter((_, j) => has[j] === "1").join(" + ");
  const mapChart = () => {
    const spec = copy(data.templates.map), which = byId("colour").value, map = data.map;
    const axes = ["x", "y"];
    axes.forEach((axis, k) => { spec.encoding[axis].title = `direction ${k + 1} (${Math.round(100 * map.explained[k])} % of the variance)`; });
    const points = map.x.map((x, k) => ({ x, y: map.y[k], id: map.ids[k] ?? `subject ${k + 1}` }));
    const title = { title: null };
    if (which === "has") {
      const counts = new Map();
      for (const has of map.has) counts.set(has, (counts.get(has) ?? 0) + 1);
      const most = [...counts].sort((a, b) => b[1] - a[1]).map(([has]) => has).slice(0, 7);
      points.forEach((point, k) => { point.group = most.includes(map.has[k]) ? patternOf(map.has[k]) : "other combinations"; point.shown = patternOf(map.has[k]); });
      categories(spec, points, [...most.map(patternOf), ...(counts.size > 7 ? ["other combinations"] : [])], title);
    } else {
      const colour = map.colours[Number(which)], at = steps(colour[C_CELLS]), labels = colour[C_LABELS];
      points.forEach((point, k) => {
        const x = at[k];
        point.missing = x === null;
        if (labels.length) point.group = x === null ? "missing" : labels[Math.round(x * 63)];
        else point.value = x === null ? null : colour[C_LOW] + x * (colour[C_HIGH] - colour[C_LOW]);
        point.shown = x === null ? "missing" : labels.length ? point.group : `about ${show(point.value, 2)}`;
      });
      if (labels.length) categories(spec, points, [...labels, ...(at.includes(null) ? ["missing"] : [])], title);
      else {
        spec.encoding.color = {
          condition: { test: "datum.missing", value: "var(--line)" }, field: "value", type: "quantitative",
          scale: { scheme: "viridis", domain: colour[C_LOW] < colour[C_HIGH] ? [colour[C_LOW], colour[C_HIGH]] : undefined },
          legend: { title: shortened([colour[C_NAME]])[0], gradientLength: 180, format: ".3~g" },
        };
        spec.encoding.order = { field: "missing", sort: "descending" };
      }
    }
    spec.data.values = points;
    return draw(byId("map-chart"), spec);
  };
  const categories = (spec, points, names, legend) => {
    const domain = shortened(names), short = new Map(names.map((name, k) => [name, domain[k]]));
    for (const point of points) point.group = short.get(point.group);
    const wide = 7.5 * Math.max(...domain.map((name) => name.length)) + 40;
    const columns = Math.min(4, Math.max(1, Math.floor(byId("map-chart").clientWidth / wide)));
    const range = names.map((name, k) => (name === "missing" || name === "other combinations" ? "var(--line)" : COLOURS[k % 8]));
    spec.mark = { type: "point", filled: true, size: 42, opacity: 0.9 };
    spec.encoding.color = { field: "group", type: "nominal", scale: { domain, range }, legend: { ...legend, columns, labelLimit: 240 } };
    spec.encoding.shape = { field: "group", type: "nominal", scale: { domain, range: domain.map((_, k) => SHAPES[k % 7]) } };
  };
  const colourOptions = () => {
    const words = byId("colour-search").value.toLowerCase().split(/\s+/).filter(Boolean), groups = new Map();
    let count = 0;
    data.map.colours.forEach((colour, k) => {
      const view = data.views[colour[C_VIEW]];
      if (count >= MOST_OPTIONS || !words.every((word) => `${view} ${colour[C_NAME]}`.toLowerCase().includes(word))) return;
      if (!groups.has(view)) groups.set(view, make("optgroup", undefined, { label: view }));
      groups.get(view).append(make("option", colour[C_NAME], { value: k }));
      count += 1;
    });
    byId("colour").replaceChildren(...(words.length && count ? [] : [make("option", "which views a subject has", { value: "has" })]), ...groups.values());
  };
  const recolour = () => mapChart().catch(failed);
  byId("colour-search").addEventListener("input", () => { colourOptions(); recolour(); });
  byId("colour").addEventListener("change", recolour);
  colourOptions();
  queue.push(mapChart);

  // Single subjects.
  const subjectViews = async () => {
    const place = byId("subject-views"), subject = data.subjects[Number(byId("subject").value)];
    place.replaceChildren();
    for (const shown of subject.views) {
      const figure = make("figure"), box = make("div", undefined, { class: "chart" });
      const caption = make("figcaption", `${shown.view} `);
      caption.append(make("small", shown.present ? "observed; hidden here and filled from the other views" : "missing; filled from the other views"));
      figure.append(caption);
      place.append(figure);
      if (shown.values.length) {
        figure.append(box);
        const spec = copy(data.templates.subject);
        const names = shortened(shown.values.map(([column]) => column));
        spec.data.values = shown.values.map(([full, filled, low, high, truth, value, from, to, true_], k) => ({
          column: names[k], full, filled, low, high, truth, text: `${show(value)} (${show(from)} to ${show(to)})`, true: true_ === null ? "missing" : show(true_),
        }));
        spec.height *= shown.values.length;
        if (!shown.present) spec.layer.pop();
        spec.description = `${subject.id}, ${shown.view}: ` + spec.data.values.map((v) => `${v.full} ${v.text}`).join("; ");
        await draw(box, spec);
      }
      if (shown.levels.length) {
        const list = make("ul");
        for (const [column, level, probability, truth] of shown.levels) {
          list.append(make("li", `${column}: ${level} with probability ${Math.round(100 * probability)} %${truth ? `; observed: ${truth}` : ""}`));
        }
        figure.append(list);
      }
      if (shown.left_out) figure.append(make("p", `${shown.left_out.toLocaleString("en")} further columns are not shown; those shown deviate most from their means.`, { class: "sub" }));
    }
  };
  if (data.subjects.length) {
    byId("subject").replaceChildren(...data.subjects.map((subject, k) => make("option", subject.id, { value: k })));
    byId("subject").addEventListener("change", () => subjectViews().catch(failed));
    queue.push(subjectViews);
  }
  later(work);
})();
