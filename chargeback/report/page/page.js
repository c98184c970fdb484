"use strict";
// Sorting and filtering on the exact values; without script the table stands as it was written.
(() => {
  const rows = JSON.parse(document.getElementById("rows").textContent);
  const body = document.querySelector("#lines tbody");
  const heads = [...document.querySelectorAll("#lines th")];
  const filter = document.getElementById("filter");
  const found = document.getElementById("found");
  const theme = document.getElementById("theme");
  const lines = [...body.rows].map((element, place) => ({
    element, values: rows[place], text: rows[place].slice(0, 6).join(" ").toLowerCase(),
  }));
  const compare = (a, b) => typeof a === "number" ? a - b : String(a ?? "").localeCompare(String(b ?? ""));
  const money = (sum) => sum > 0 && sum < 0.01 ? "< 0.01" : sum.toLocaleString(undefined, { maximumFractionDigits: 2 });
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0, calls = 0, billed = 0;
    for (const line of lines) {
      const fits = words.every((word) => line.text.includes(word));
      line.element.hidden = !fits;
      if (fits) { count += 1; calls += line.values[6]; billed += Number(line.values[9]); }
    }
    found.textContent = `${count.toLocaleString()} lines, ${calls.toLocaleString()} calls, ${money(billed)}`;
  };
  heads.forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const isMoney = column === 9;
      lines.sort((a, b) => {
        const order = isMoney ? Number(a.values[9]) - Number(b.values[9]) : compare(a.values[column], b.values[column]);
        return down ? -order : order;
      });
      body.append(...lines.map((line) => line.element));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
  filter.hidden = false;
  filter.addEventListener("input", show);
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  if (location.hash === "#dark" || location.hash === "#light") document.documentElement.dataset.theme = location.hash.slice(1);
  show();
})();
