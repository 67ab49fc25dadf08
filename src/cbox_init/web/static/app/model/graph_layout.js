// Where the processes stand in the drawing of their dependencies: what starts first is at the left.

const GAP_X = 72;
const GAP_Y = 14;
const SUB_GAP_X = 24;

/**
 * Places nodes and edges.
 *
 * `processes` are `{name, dependsOn: [names]}`. Returns `{nodes, edges, width, height}`: nodes with `name`, `x`,
 * `y`, `layer` and `unknown` (a dependency that is not among the processes), edges `{from, to}` with
 * the dependency as `from`. A layer of more than `perColumn` nodes takes several columns. Processes without any
 * dependency in either direction stand in a block below the others.
 */
export function layout(processes, { nodeWidth = 176, nodeHeight = 40, perColumn = 16 } = {}) {
  const { names, unknown, before, edges } = read(processes);
  const linked = new Set(edges.flatMap(({ from, to }) => [from, to]));
  const layers = order(layersOf(names.filter((name) => linked.has(name)), before), edges);
  const nodes = new Map();
  const tallest = Math.min(perColumn, Math.max(0, ...layers.map((layer) => layer.length)));
  const height = tallest * (nodeHeight + GAP_Y) - (tallest ? GAP_Y : 0);
  let x = 0;
  let bottom = 0;
  layers.forEach((layer, index) => {
    const columns = Math.ceil(layer.length / perColumn);
    const rows = Math.ceil(layer.length / columns);
    layer.forEach((name, place) => {
      const row = place % rows;
      const inColumn = Math.min(rows, layer.length - (place - row));
      const top = (height - (inColumn * (nodeHeight + GAP_Y) - GAP_Y)) / 2;
      const node = {
        name,
        x: x + Math.floor(place / rows) * (nodeWidth + SUB_GAP_X),
        y: top + row * (nodeHeight + GAP_Y),
        layer: index,
        unknown: unknown.has(name),
      };
      bottom = Math.max(bottom, node.y + nodeHeight);
      nodes.set(name, node);
    });
    x += columns * nodeWidth + (columns - 1) * SUB_GAP_X + GAP_X;
  });
  let width = Math.max(0, x - GAP_X);
  const alone = names.filter((name) => !linked.has(name));
  const columns = Math.max(1, Math.min(alone.length, Math.max(Math.round((width + SUB_GAP_X) / (nodeWidth + SUB_GAP_X)), Math.ceil(Math.sqrt(alone.length / 2)))));
  const aloneTop = bottom ? bottom + 56 : 0;
  alone.forEach((name, place) => {
    const node = {
      name,
      x: (place % columns) * (nodeWidth + SUB_GAP_X),
      y: aloneTop + Math.floor(place / columns) * (nodeHeight + GAP_Y),
      layer: -1,
      unknown: false,
    };
    width = Math.max(width, node.x + nodeWidth);
    bottom = Math.max(bottom, node.y + nodeHeight);
    nodes.set(name, node);
  });
  return {
    nodes: [...nodes.values()],
    edges,
    width,
    height: bottom,
    aloneTop: alone.length && linked.size ? aloneTop : null,
    nodeWidth,
    nodeHeight,
  };
}

/** All that `name` waits for (`before`) and all that waits for it (`after`), directly or not. */
export function pathOf(name, edges) {
  const reach = (start, from, to) => {
    const next = new Map();
    for (const edge of edges) {
      if (!next.has(edge[from])) next.set(edge[from], []);
      next.get(edge[from]).push(edge[to]);
    }
    const found = new Set();
    const open = [start];
    while (open.length) {
      for (const one of next.get(open.pop()) || []) {
        if (!found.has(one)) {
          found.add(one);
          open.push(one);
        }
      }
    }
    return found;
  };
  return { before: reach(name, "to", "from"), after: reach(name, "from", "to") };
}

/** The SVG path of an edge between two placed nodes. */
export function curve(from, to, { nodeWidth, nodeHeight }) {
  const x1 = from.x + nodeWidth;
  const y1 = from.y + nodeHeight / 2;
  const x2 = to.x;
  const y2 = to.y + nodeHeight / 2;
  const bend = Math.max(28, Math.min(120, (x2 - x1) / 2));
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

function read(processes) {
  const known = new Set(processes.map(({ name }) => name));
  const unknown = new Set();
  const before = new Map();
  const edges = [];
  for (const { name, dependsOn } of processes) {
    const wanted = [...new Set(dependsOn)].filter((one) => one !== name);
    before.set(name, wanted);
    for (const one of wanted) {
      if (!known.has(one)) unknown.add(one);
      edges.push({ from: one, to: name });
    }
  }
  for (const one of unknown) before.set(one, []);
  return { names: [...known, ...unknown], unknown, before, edges };
}

/** Names by the longest way to a process that waits for nothing. An edge that closes a circle does not count. */
function layersOf(names, before) {
  const depth = new Map();
  for (const start of names) {
    const stack = [[start, 0]];
    const open = new Set([start]);
    while (stack.length) {
      const top = stack[stack.length - 1];
      const [name, next] = top;
      const wanted = before.get(name) || [];
      if (depth.has(name) || next >= wanted.length) {
        if (!depth.has(name)) depth.set(name, Math.max(-1, ...wanted.map((one) => depth.get(one) ?? -1)) + 1);
        open.delete(name);
        stack.pop();
      } else {
        top[1]++;
        const one = wanted[next];
        if (!depth.has(one) && !open.has(one)) {
          open.add(one);
          stack.push([one, 0]);
        }
      }
    }
  }
  const layers = [];
  for (const name of names) (layers[depth.get(name)] ||= []).push(name);
  return layers.filter(Boolean);
}

/** The layers with their names ordered so that few edges cross: by the mean place of the neighbours. */
function order(layers, edges) {
  const neighbours = new Map();
  for (const { from, to } of edges) {
    for (const [one, other] of [[from, to], [to, from]]) {
      if (!neighbours.has(one)) neighbours.set(one, []);
      neighbours.get(one).push(other);
    }
  }
  const place = new Map();
  const settle = (layer) => layer.forEach((name, index) => place.set(name, layer.length > 1 ? index / (layer.length - 1) : 0.5));
  layers.forEach(settle);
  for (let sweep = 0; sweep < 6; sweep++) {
    for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
      const mean = new Map(
        layer.map((name) => {
          const all = neighbours.get(name) || [];
          return [name, all.reduce((sum, one) => sum + place.get(one), 0) / (all.length || 1)];
        }),
      );
      layer.sort((a, b) => mean.get(a) - mean.get(b));
      settle(layer);
    }
  }
  return layers;
}
