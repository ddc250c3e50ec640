// The filter row: one drop-down of check boxes for each dimension of the metric.

export class Filters {
  #host;
  #changed;
  #chosen = {};
  #titles = {};
  #shape = "";

  constructor(host, changed) {
    this.#host = host;
    this.#changed = changed;
    document.addEventListener("click", (event) => {
      for (const open of host.querySelectorAll("details[open]")) {
        if (!open.contains(event.target)) open.open = false;
      }
    });
    host.addEventListener("keydown", (event) => {
      const open = event.target.closest("details[open]");
      if (event.key !== "Escape" || !open) return;
      open.open = false;
      open.querySelector("summary").focus();
    });
  }

  // `dimensions`: {name: [values]}; a chosen value that no series has any more stays in the list. `titles`: {name: words}.
  show(dimensions, chosen, titles) {
    this.#chosen = chosen;
    this.#titles = titles;
    const listed = Object.entries(dimensions).map(([name, values]) => [
      name, [...new Set([...values, ...(chosen[name] ?? [])])].sort(),
    ]);
    const shape = JSON.stringify(listed);
    if (shape !== this.#shape) {
      // New values come in while somebody may be choosing: what is open and focused stays so.
      const open = new Set([...this.#host.querySelectorAll("details[open]")].map((details) => details.dataset.dimension));
      const focused = document.activeElement?.dataset?.key;
      this.#shape = shape;
      this.#host.replaceChildren(...listed.map(([name, values]) => this.#dropDown(name, values, open.has(name))));
      if (focused) [...this.#host.querySelectorAll("[data-key]")].find((element) => element.dataset.key === focused)?.focus();
    }
    this.#mark();
  }

  #title(name) {
    return this.#titles[name] ?? name;
  }

  #dropDown(name, values, open) {
    const details = document.createElement("details");
    details.dataset.dimension = name;
    details.open = open;
    const summary = document.createElement("summary");
    summary.dataset.key = name;
    const group = document.createElement("fieldset");
    group.setAttribute("aria-label", `Filter by ${this.#title(name)}`);
    for (const value of values) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.value = value;
      box.dataset.key = `${name}=${value}`;
      box.addEventListener("change", () => this.#choose(name, group));
      label.append(box, value);
      group.append(label);
    }
    if (values.length === 0) group.append("No values yet");
    const clear = document.createElement("button");
    clear.type = "button";
    clear.textContent = `All of ${this.#title(name)}`;
    clear.dataset.key = `${name} all`;
    clear.addEventListener("click", () => {
      for (const box of group.querySelectorAll("input")) box.checked = false;
      this.#choose(name, group);
    });
    group.append(clear);
    details.append(summary, group);
    return details;
  }

  #choose(name, group) {
    const values = [...group.querySelectorAll("input:checked")].map((box) => box.value);
    if (values.length) this.#chosen[name] = values;
    else delete this.#chosen[name];
    this.#mark();
    this.#changed();
  }

  #mark() {
    for (const details of this.#host.querySelectorAll("details")) {
      const name = details.dataset.dimension;
      const values = this.#chosen[name] ?? [];
      details.dataset.set = String(values.length > 0);
      const what = values.length === 0 ? "all" : values.length <= 2 ? values.join(", ") : `${values.length} values`;
      details.querySelector("summary").textContent = `${this.#title(name)}: ${what}`;
      for (const box of details.querySelectorAll("input")) box.checked = values.includes(box.value);
    }
  }
}
