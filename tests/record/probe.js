// Uses a recorded page as a person would, through its controls, and tells what came of it: [{name, passed, detail}, ...].
// check.py evaluates this in the page; `data`, `episode` and `$` are the page's own.
(async () => {
  "use strict";
  const outcome = [];
  const check = (name, passed, detail) => outcome.push({ name, passed: Boolean(passed), detail: String(detail ?? "") });
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const frame = () => Number($("scrub").value);
  const key = (name, more) => document.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, ...more }));
  const scrub = (to) => { $("scrub").value = String(to); $("scrub").dispatchEvent(new Event("input")); };
  const set = (id, value) => { $(id).value = value; $(id).dispatchEvent(new Event("change")); };
  const tickBox = (id, on) => { if ($(id).checked !== on) $(id).click(); };
  const pixels = () => $("arena").getContext("2d").getImageData(0, 0, $("arena").width, $("arena").height).data;
  const last = data.episodes[0].agent.length / 3;

  /** Middle of the agent's red pixels, from the upper left corner in shares of the picture. */
  const agentSeen = () => {
    const bits = pixels(), width = $("arena").width;
    let n = 0, x = 0, y = 0;
    for (let i = 0; i < bits.length; i += 4) {
      if (bits[i] === 0xbd && bits[i + 1] === 0x0b && bits[i + 2] === 0x2f) {
        n += 1; x += (i / 4) % width + 0.5; y += Math.floor(i / 4 / width) + 0.5;
      }
    }
    return { n, x: x / n / width, y: y / n / $("arena").height };
  };
  const where = (f) => ({ x: data.episodes[0].agent[3 * f] / 1e3, y: data.episodes[0].agent[3 * f + 1] / 1e3 });

  try {
    check("title", document.title.startsWith(data.env) && $("title").textContent === data.env, document.title);
    check("nothing was loaded", performance.getEntriesByType("resource").length === 0);
    check("no sideways scrolling", document.documentElement.scrollWidth <= innerWidth,
      document.documentElement.scrollWidth + " in " + innerWidth);
    check("as fine as the screen", Math.abs($("arena").width - devicePixelRatio * $("arena").clientWidth) <= 1,
      $("arena").width + " for " + $("arena").clientWidth);
    check("the arena is square", Math.abs($("arena").clientWidth - $("arena").clientHeight) <= 1);
    const kinds = new Set(data.episodes[0].objects.map((o) => o.kind));
    check("the legend names every kind", $("legend").children.length === kinds.size, $("legend").textContent);

    // Where things are drawn: the agent moves as the data say, and objects stand where they say.
    tickBox("lidar", false);
    tickBox("trail", false);
    const inside = [];
    for (let f = 0; f < last; f++) {
      if (Math.abs(where(f).x) < data.half_extent && Math.abs(where(f).y) < data.half_extent) inside.push(f);
    }
    const far = inside.reduce((a, b) => Math.hypot(where(b).x - where(0).x, where(b).y - where(0).y) >
      Math.hypot(where(a).x - where(0).x, where(a).y - where(0).y) ? b : a);
    const side = 2 * episode.reach;
    scrub(0);
    const before = agentSeen();
    scrub(far);
    const after = agentSeen();
    const off = Math.hypot((after.x - before.x) * side - (where(far).x - where(0).x),
      (after.y - before.y) * side + (where(far).y - where(0).y));
    check("the agent is seen", before.n > 20 && after.n > 20, before.n + ", " + after.n);
    check("the agent is drawn where it was", off < 0.06, off.toFixed(3) + " m off after " +
      Math.hypot(where(far).x - where(0).x, where(far).y - where(0).y).toFixed(2) + " m");
    scrub(0);
    const bits = pixels(), width = $("arena").width;
    const colorAt = (x, y) => {
      const column = Math.floor((0.5 + x / side) * width), row = Math.floor((0.5 - y / side) * width);
      return Array.from(bits.slice(4 * (row * width + column), 4 * (row * width + column) + 3));
    };
    const floor = getComputedStyle(document.documentElement).getPropertyValue("--floor").trim();
    const plain = [1, 3, 5].map((i) => parseInt(floor.slice(i, i + 2), 16));
    const discs = data.episodes[0].objects.filter((o) => !["circle", "sigwall"].includes(o.kind));
    const missing = discs.filter((o) => {
      const color = colorAt(o.track[1] / 1e3 + 0.03, o.track[2] / 1e3 + 0.03);
      return Math.max(...color.map((channel, i) => Math.abs(channel - plain[i]))) < 25;
    });
    check("every object is drawn where it was", missing.length === 0, missing.map((o) => o.kind));
    tickBox("lidar", true);
    const lit = pixels();
    check("the lidar is drawn", lit.some((value, i) => value !== bits[i]));
    tickBox("trail", true);

    // Play and pause.
    scrub(0);
    $("play").click();
    await wait(500);
    const played = frame(), expected = 0.5 / data.step_seconds;
    check("play plays at the speed of the simulated world", played > 0.6 * expected && played < 1.4 * expected,
      played + " frames of " + expected);
    check("the button offers a pause", $("play").textContent === "Pause");
    $("play").click();
    const paused = frame();
    await wait(300);
    check("pause pauses", frame() === paused && $("play").textContent === "Play");
    set("speed", "4");
    $("play").click();
    await wait(500);
    const faster = frame() - paused;
    $("play").click();
    check("four times the speed", faster > 2.4 * expected && faster < 5.6 * expected, faster + " frames");

    // Scrubbing and the numbers.
    scrub(last);
    // Frames and the costs of their steps in thousandths.
    const costOf = (e) => e.costs[0].reduce((sum, value, i) => sum + (i % 2) * value, 0) / 1e3;
    const total = costOf(data.episodes[0]), limit = data.constraints[0].limit;
    check("the end shows the episode's return", $("return").textContent === (data.episodes[0].returns[last] / 1e3).toFixed(2),
      $("return").textContent);
    check("the end shows cost and limit", $("cost").textContent === total + " / " + limit, $("cost").textContent);
    check("a cost over the limit is marked", $("cost").classList.contains("over") === total > limit);
    check("the clock", $("clock").textContent.startsWith((last * data.step_seconds).toFixed(1)), $("clock").textContent);
    $("play").click();
    await wait(100);
    check("play at the end begins again", frame() < last / 2, frame());
    $("play").click();
    HTMLElement.prototype.setPointerCapture = () => {}; // refuses pointers that do not exist, such as this one
    const box = $("cost-chart").getBoundingClientRect();
    $("cost-chart").dispatchEvent(new PointerEvent("pointerdown", { clientX: box.left + box.width / 2, clientY: box.top + 40 }));
    check("a click in a chart goes there", Math.abs(frame() / last - 0.46) < 0.06, frame());

    // The keyboard.
    key("Home");
    check("home", frame() === 0);
    key("ArrowRight");
    check("one step", frame() === 1);
    key("ArrowRight", { shiftKey: true });
    check("many steps", frame() === 26);
    key("ArrowLeft");
    check("one step back", frame() === 25);
    key("End");
    check("end", frame() === last);
    key("]");
    check("faster", $("speed").value === "8");
    key("Home");
    key(" ");
    await wait(100);
    check("space plays", frame() > 0);
    await wait(1e3 * last * data.step_seconds / 8 + 1e3);
    check("the end stops it", frame() === last && $("play").textContent === "Play", frame());

    // Episodes.
    if (data.episodes.length > 1) {
      set("episode", "1");
      check("another episode begins", frame() === 0 && $("return").textContent === "0.00");
      key("End");
      const second = data.episodes[1];
      check("with its own numbers", $("cost").textContent.startsWith(String(costOf(second))) &&
        $("return").textContent === (second.returns[second.returns.length - 1] / 1e3).toFixed(2));
      key("p");
      check("and back", $("episode").value === "0" && frame() === 0);
    }
  } catch (error) {
    check("no exception", false, error.stack);
  }
  return outcome;
})();
