"use strict";
// Shows the rows of data/*.js. Those files call review.meta, review.rows and review.index; their texts are
// only ever made into text nodes. What this file reads of a row is named in FIELDS of chunks.py.
const review = (() => {
  const FIELDS = [
    "id", "source", "source_id", "question", "options", "answer", "images", "image_sizes", "kept", "reason", "detail", "fired",
    "caption",
    "pseudo_cot", "description", "notes", "thought", "reply", "final_text", "tokens", "extracted", "verdict",
    "rewritten", "family", "requests",
  ];
  const STEPS = [
    ["caption", "Caption"], ["pseudo_cot", "Pseudo-CoT"], ["description", "Description"], ["notes", "Further steps"],
    ["thought", "Thought"], ["reply", "Reply"], ["final_text", "Training text, rewritten"],
  ];
  const WIDE = new Set(["thought", "reply", "final_text"]);
  const HITS_A_PAGE = 25, MOST_HITS = 5000, CACHED = 60, LONG = 500;
  const IMAGE = /^[0-9a-f]{2}\/[0-9a-f]{64}\.(png|jpeg|webp|gif)$/;
  const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

  const at = (id) => document.getElementById(id);
  const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

  // Like report/clean.py: what hides or reorders text is shown by its number; piles of marks are cut.
  const shown = (text) =>
    text
      .replace(/\r\n/g, "\n")
      .replace(HIDDEN, (c) =>
        c === "\n" || c === "\t" ? c : `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`)
      .replace(/([\p{Mn}\p{Me}]{3})[\p{Mn}\p{Me}]+/gu, "$1");

  const make = (tag, classes, ...children) => {
    const node = document.createElement(tag);
    if (classes) node.className = classes;
    for (const child of children) {
      if (child !== null) node.append(typeof child === "string" ? shown(child) : child);
    }
    return node;
  };

  // --- files -------------------------------------------------------------------------------------------
  const trusted = (name) => {
    if (!/^data\/(rows|index)-\d{5,}\.js$/.test(name)) throw new TypeError("not a file of rows");
    return name;
  };
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("chunks", { createScriptURL: trusted })
    : { createScriptURL: trusted };
  const arrived = new Map();
  const cache = new Map();

  const load = (kind, number) =>
    new Promise((resolve, reject) => {
      const name = `${kind}-${String(number).padStart(5, "0")}`;
      const script = document.createElement("script");
      script.onload = () => {
        script.remove();
        const data = arrived.get(name);
        arrived.delete(name);
        if (data === undefined) reject(new Error(`data/${name}.js is damaged`));
        else resolve(data);
      };
      script.onerror = () => {
        script.remove();
        reject(new Error(`data/${name}.js cannot be read`));
      };
      script.src = policy.createScriptURL(`data/${name}.js`);
      document.head.append(script);
    });

  const asRow = (values) => Object.fromEntries(FIELDS.map((name, index) => [name, values[index]]));

  const rowsOf = async (chunk) => {
    if (!cache.has(chunk)) {
      if (cache.size >= CACHED) cache.delete(cache.keys().next().value);
      cache.set(chunk, (await load("rows", chunk)).map(asRow));
    }
    return cache.get(chunk);
  };

  // --- one row -----------------------------------------------------------------------------------------
  const picture = (name) => {
    if (!IMAGE.test(name)) return null;
    const image = make("img");
    image.alt = "picture of the problem";
    image.loading = "lazy";
    image.src = `../images/${name}`;
    image.onerror = () => image.replaceWith(make("small", "", "this picture is missing"));
    return image;
  };

  const mark = (row) =>
    make("span", row.kept ? "mark right" : "mark wrong", row.kept ? "✓ kept" : `✗ ${row.reason}`);

  const question = (row) => {
    const about = [row.tokens ? count(row.tokens, "token") : "", row.verdict, row.rewritten ? "rewritten" : "", row.family];
    const rules = row.fired.length ? `all rules that fired: ${row.fired.join(", ")}` : "";
    return make("div", "",
      make("div", "question", row.question),
      row.options.length ? make("small", "", `choices: ${row.options.join(" | ")}`) : null,
      make("p", "why",
        make("small", "", "answer "), make("span", "gold", row.answer), " ", mark(row), " ",
        row.extracted === null ? null : make("small", "", `found: ${row.extracted} · `),
        make("small", "", about.filter(Boolean).join(" · "))),
      row.detail ? make("p", "why", make("small", "", row.detail)) : null,
      rules ? make("p", "why", make("small", "", rules)) : null,
      make("small", "", samplesOf(row), ` · ${row.source} · ${row.source_id}`));
  };

  // The rows of one problem have its key in front of the sample's number: "KEY-00".
  const samplesOf = (row) => {
    const button = make("button", "link", row.id);
    button.title = "find all samples of this problem";
    button.onclick = () => {
      at("query").value = row.id.replace(/-\d+$/, "");
      at("scope").value = "index";
      search();
    };
    return button;
  };

  const requests = (row) => {
    const lines = row.requests.map(([step, model, template, key, attempt]) =>
      make("div", "", `${step}: ${model}, ${template}${attempt ? `, attempt ${attempt + 1}` : ""}, `, make("code", "", key)));
    return make("details", "requests", make("summary", "", `made by ${count(lines.length, "request")}`), ...lines);
  };

  const card = (row) => {
    const pictures = row.images.map(picture).filter(Boolean);
    pictures.push(...row.image_sizes.filter(Boolean).map((text) => make("small", "", text)));
    const steps = STEPS.filter(([name]) => row[name] && !(name === "notes" && row[name] === "{}"));
    return make("article", "card problem",
      make("div", "ask", make("div", "held",
        make("div", "pictures", ...(pictures.length ? pictures : [make("small", "", "no picture")])), question(row))),
      make("div", "traces", ...steps.map(([name, title]) =>
        make("div", row[name].length > LONG || WIDE.has(name) ? "trace long" : "trace", make("h4", "", title), make("pre", "", row[name])))),
      row.requests.length ? requests(row) : null);
  };

  // --- a pane of pages ---------------------------------------------------------------------------------
  // A page is a list of [chunk, index of a row in it, or null for all of its rows].
  const pane = (title, pages, rows, first, turned) => {
    const list = make("div");
    const previous = make("button", "", "‹ previous"), next = make("button", "", "next ›"), number = make("input");
    number.type = "number";
    number.min = 1;
    number.max = pages.length;
    number.setAttribute("aria-label", "page");
    let current = 0, wanted = 0;
    const turn = async (page) => {
      current = Math.min(Math.max(page, 0), pages.length - 1);
      const mine = ++wanted;
      number.value = current + 1;
      previous.disabled = current === 0;
      next.disabled = current === pages.length - 1;
      try {
        const cards = [];
        for (const [chunk, index] of pages[current]) {
          const some = await rowsOf(chunk);
          cards.push(...(index === null ? some : [some[index]]).map(card));
        }
        if (mine === wanted) list.replaceChildren(...cards);
      } catch (error) {
        if (mine === wanted) list.replaceChildren(make("p", "empty", error.message));
      }
      if (mine === wanted) turned(current);
    };
    previous.onclick = () => turn(current - 1);
    next.onclick = () => turn(current + 1);
    number.onchange = () => turn((number.valueAsNumber || 1) - 1);
    const bar = make("div", "turn", previous, next, "page ", number, ` of ${pages.length.toLocaleString("en")}`);
    const host = make("div", "pane", make("h3", "", `${title}: ${count(rows, "row")}`));
    if (pages.length) {
      host.append(bar, list);
      turn(first);
    } else {
      host.append(make("p", "empty", "No such rows."));
    }
    return host;
  };

  // --- choice, search ----------------------------------------------------------------------------------
  let facts = { groups: [], indexes: 0 };
  let hits = null, running = null;

  // A reason leaves dropped rows only; side by side, the kept ones stay to compare with.
  const chosen = (kept) => {
    const source = at("source").value, reason = at("reason").value, beside = at("view").value === "both";
    return facts.groups.filter((group) =>
      (kept === null || group.kept === kept) &&
      (source === "" || group.source === source) &&
      (reason === "" || (group.kept ? beside : group.reason === reason)));
  };

  const pagesOf = (groups) => {
    if (hits === null) {
      const pages = groups.flatMap((group) => group.chunks.map((chunk) => [[chunk, null]]));
      return [pages, groups.reduce((sum, group) => sum + group.rows, 0)];
    }
    const wanted = new Set(groups.flatMap((group) => group.chunks));
    const found = hits.filter(([chunk]) => wanted.has(chunk));
    const pages = [];
    for (let i = 0; i < found.length; i += HITS_A_PAGE) pages.push(found.slice(i, i + HITS_A_PAGE));
    return [pages, found.length];
  };

  const remember = (page) => {
    const state = { view: at("view").value, reason: at("reason").value, source: at("source").value, page: String(page + 1) };
    const text = new URLSearchParams(Object.entries(state).filter(([, value]) => value)).toString();
    if (hits === null && location.hash.slice(1) !== text) {
      try {
        history.replaceState(null, "", `#${text}`);
      } catch {
        // Some browsers refuse this for files; the page works without.
      }
    }
  };

  const show = (first = 0) => {
    const view = at("view").value;
    const both = view === "both";
    const wanted = both ? [["Kept", true], ["Dropped", false]]
      : [[{ all: "Kept and dropped", kept: "Kept", dropped: "Dropped" }[view], { all: null, kept: true, dropped: false }[view]]];
    at("panes").classList.toggle("both", both);
    document.body.classList.toggle("wide", both);
    at("panes").replaceChildren(...wanted.map(([title, kept], index) =>
      pane(title, ...pagesOf(chosen(kept)), first, index === 0 ? remember : () => {})));
  };

  const say = (text) => at("state").replaceChildren(text);

  const matches = (text, words) => words.every((word) => text.includes(word));

  async function* indexed() {
    for (let i = 0; i < facts.indexes; i++) {
      const [first, chunks] = await load("index", i);
      yield [(i + 1) / facts.indexes, chunks.flatMap((texts, chunk) => texts.map((text, row) => [first + chunk, row, text]))];
    }
  }

  async function* everything() {
    const chunks = facts.groups.flatMap((group) => group.chunks).sort((a, b) => a - b);
    for (const [done, chunk] of chunks.entries()) {
      const rows = await load("rows", chunk);
      yield [(done + 1) / chunks.length, rows.map((row, index) => [chunk, index, row.filter((v) => typeof v === "string").join("\n")])];
    }
  }

  const search = async () => {
    const words = at("query").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (running) running.dropped = true;
    const mine = (running = { stopped: false, dropped: false });
    const found = [];
    hits = null;
    say("");
    if (!words.length) return show();
    at("stop").hidden = false;
    try {
      for await (const [share, rows] of at("scope").value === "texts" ? everything() : indexed()) {
        if (mine.dropped) return;
        for (const [chunk, row, text] of rows) {
          if (found.length < MOST_HITS && matches(text.toLowerCase(), words)) found.push([chunk, row]);
        }
        if (mine.stopped || found.length === MOST_HITS) break;
        say(`${Math.round(100 * share)}% searched, ${count(found.length, "row")} found`);
      }
    } catch (error) {
      return say(error.message);
    } finally {
      if (!mine.dropped) at("stop").hidden = true;
    }
    hits = found;
    const ended = mine.stopped ? ", stopped" : found.length === MOST_HITS ? ", which is where a search ends" : "";
    say(`${count(found.length, "row")} found${ended}; clear the search to see all`);
    show();
  };

  // --- start -------------------------------------------------------------------------------------------
  const offer = (id, first, names) => {
    at(id).replaceChildren(...[["", first], ...names.map((name) => [name, name])].map(([value, label]) => {
      const option = make("option", "", label);
      option.value = value;
      return option;
    }));
  };

  const start = (given) => {
    facts = given;
    const distinct = (name, groups) => [...new Set(groups.map((group) => group[name]))].sort();
    offer("reason", "any", distinct("reason", facts.groups.filter((group) => !group.kept)));
    offer("source", "any", distinct("source", facts.groups));
    const state = new URLSearchParams(location.hash.slice(1));
    for (const id of ["view", "reason", "source"]) {
      if ([...at(id).options].some((option) => option.value === state.get(id))) at(id).value = state.get(id);
      at(id).onchange = () => show();
    }
    at("reason").onchange = () => {
      if (at("reason").value && at("view").value === "kept") at("view").value = "dropped";
      show();
    };
    at("find").onsubmit = (event) => {
      event.preventDefault();
      search();
    };
    at("query").onsearch = () => at("query").value || search();
    at("stop").onclick = () => {
      running.stopped = true;
    };
    show((Number(state.get("page")) || 1) - 1);
  };

  return {
    meta: start,
    rows: (number, rows) => arrived.set(`rows-${String(number).padStart(5, "0")}`, rows),
    index: (number, first, chunks) => arrived.set(`index-${String(number).padStart(5, "0")}`, [first, chunks]),
  };
})();
