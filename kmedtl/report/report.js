"use strict";
// The threshold slider. Every number comes from the page's own JSON; text is set, never markup.
(() => {
  const findings = JSON.parse(document.getElementById("thresholds").textContent);
  // Opened while it prints, so that paper holds everything.
  const closed = [];
  addEventListener("beforeprint", () => {
    closed.push(...document.querySelectorAll("details:not([open])"));
    closed.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => closed.splice(0).forEach((one) => { one.open = false; }));
  // On a phone the contents are folded; without this script they are open.
  document.getElementById("contents").open = !matchMedia("screen and (max-width: 40rem)").matches;
  if (!findings.length) return;

  const at = (name) => document.getElementById(`slider-${name}`);
  const range = at("threshold"), prevalence = at("prevalence"), select = at("finding");
  // Half to even, as Python rounds.
  const formats = [3, 4, 5].map((digits) =>
    new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: "halfEven" }));
  let finding;

  // Three digits, or more where so few would make it read 1.
  function figure(value) {
    const texts = formats.map((format) => format.format(value));
    return value < 1 - 1e-9 ? texts.find((text) => Number(text) < 1) ?? "0.99999" : texts[0];
  }

  function told(value, low, high) {
    if (!Number.isFinite(value)) return "– (nothing is decided so)";
    return `${figure(value)} (${figure(low)}–${figure(high)})`;
  }

  // Bayes, at the figure and at both ends: `right` is sensitivity for the PPV, specificity for the NPV.
  function elsewhere(share, right, other) {
    return right.map((one, i) => share * one / (share * one + (1 - share) * (1 - other[i])));
  }

  function show() {
    const [threshold, tp, fp, ...ends] = finding.points[range.value];
    const fn = finding.positives - tp, tn = finding.negatives - fp;
    const counts = { tp, fp, fn, tn };
    const values = [tp / (tp + fn), tn / (tn + fp), tp / (tp + fp), tn / (tn + fn)];
    const [sensitivity, specificity, ppv, npv] = values.map((value, i) => [value, ends[2 * i], ends[2 * i + 1]]);
    const share = prevalence.value === "" ? NaN : prevalence.value / 100;
    const known = share > 0 && share < 1;
    const missing = "– (name a prevalence)";
    const texts = {
      value: figure(threshold),
      sensitivity: told(...sensitivity),
      specificity: told(...specificity),
      ppv: told(...ppv),
      npv: told(...npv),
      "ppv-elsewhere": known ? told(...elsewhere(share, sensitivity, specificity)) : missing,
      "npv-elsewhere": known ? told(...elsewhere(1 - share, specificity, sensitivity)) : missing,
      ...counts,
    };
    for (const [name, text] of Object.entries(texts)) at(name).textContent = text;
    range.setAttribute("aria-valuetext",
      `${texts.value}: sensitivity ${figure(sensitivity[0])}, specificity ${figure(specificity[0])}`);
    place("here", finding.points[range.value]);
  }

  const x = (point) => 100 * point[2] / finding.negatives;
  const y = (point) => 100 - 100 * point[1] / finding.positives;

  function place(id, point) {
    const circle = document.getElementById(id);
    circle.setAttribute("cx", x(point));
    circle.setAttribute("cy", y(point));
  }

  function begin() {
    finding = findings[select ? select.value : 0];
    range.max = finding.points.length - 1;
    prevalence.value = finding.prevalence === null ? "" : 100 * finding.prevalence;
    const corners = [...finding.points.map((point) => `${x(point)},${y(point)}`), "0,100"];
    at("curve").setAttribute("points", corners.join(" "));
    place("chosen", finding.points[finding.start]);
    back();
  }

  function back() {
    range.value = finding.start;
    show();
  }

  document.getElementById("slider").hidden = false;
  range.addEventListener("input", show);
  prevalence.addEventListener("input", show);
  at("back").addEventListener("click", back);
  if (select) select.addEventListener("change", begin);
  begin();
})();
