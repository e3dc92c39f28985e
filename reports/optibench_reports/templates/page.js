"use strict";
// Tables that sort and filter, and the choice of a theme. The page is complete and readable without this.

(() => {
  const collator = new Intl.Collator("en", { numeric: true });

  /** What a cell sorts by: a number where its text starts with one, null where nothing is known. */
  const value = (text) => {
    const plain = text.replace(/,/g, "").replace(/^[<≈\s]+/, "").trim();
    if (plain === "" || plain.startsWith("—")) return null;
    if (plain.startsWith("∞") || plain === "never") return Infinity;
    const number = parseFloat(plain);
    return Number.isNaN(number) ? plain : number;
  };

  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b || 0;
    return collator.compare(String(a), String(b));
  };

  const enhance = (table) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const headers = [...table.tHead.rows[0].cells];

    const sort = (header, column) => {
      const before = header.getAttribute("aria-sort");
      const order = before === "ascending" ? "descending" : before === "descending" ? "none" : "ascending";
      for (const other of headers) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", order);
      if (order === "none") return body.append(...rows);
      const text = (row) => row.cells[column].textContent;
      const label = header.classList.contains("label");
      const sorted = rows.map((row) => ({ row, key: label ? text(row).trim() || null : value(text(row)) }));
      const sign = order === "ascending" ? 1 : -1;
      // What is missing comes last in either direction.
      sorted.sort((a, b) => (a.key === null) - (b.key === null) || (a.key === null ? 0 : sign * compare(a.key, b.key)));
      body.append(...sorted.map(({ row }) => row));
    };

    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      if (!button.textContent) button.setAttribute("aria-label", "Sort by this column");
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(header, column));
    });

    if (rows.length < 4) return;
    const tools = document.createElement("div");
    tools.className = "tools";
    const label = document.createElement("label");
    const input = document.createElement("input");
    const found = document.createElement("span");
    input.type = "search";
    found.setAttribute("role", "status");
    found.className = "note";
    label.append("Filter rows ", input);
    tools.append(label, found);
    table.parentElement.before(tools);
    const words = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
    const filter = () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, index) => {
        row.hidden = !wanted.every((word) => words[index].includes(word));
        shown += !row.hidden;
      });
      found.textContent = wanted.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
    };
    input.addEventListener("input", filter);
    filter();
  };

  for (const table of document.querySelectorAll("table.data")) enhance(table);

  // A link to a folded table opens it.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();

  const theme = document.getElementById("theme");
  const themes = ["automatic", "light", "dark"];
  let chosen = 0;
  theme.hidden = false;
  theme.addEventListener("click", () => {
    chosen = (chosen + 1) % themes.length;
    theme.textContent = `Theme: ${themes[chosen]}`;
    if (chosen) document.documentElement.dataset.theme = themes[chosen];
    else delete document.documentElement.dataset.theme;
  });
})();
