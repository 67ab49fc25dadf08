// Samples of several instances as the columns of one chart.

/** A gap of more than this many usual distances between two samples is drawn as a gap. */
const GAP = 3.5;

/**
 * `[times, values of the first id, …]` for uPlot. `data` is a Map of ids to samples, oldest first; a value is the first of
 * `keys` that a sample has, or null. Samples of different instances within a second share a column.
 */
export function seriesFrom(data, ids, keys) {
  const columns = new Map();
  ids.forEach((id, index) => {
    for (const sample of data.get(id) ?? []) {
      const time = Math.round(Date.parse(sample.timestamp) / 1000);
      if (!Number.isFinite(time)) continue;
      const key = keys.find((one) => typeof sample[one] === "number");
      if (!columns.has(time)) columns.set(time, new Array(ids.length).fill(undefined));
      columns.get(time)[index] = key === undefined ? null : sample[key];
    }
  });
  const times = [...columns.keys()].sort((a, b) => a - b);
  const values = ids.map((_, index) => times.map((time) => columns.get(time)[index]));
  return separated([times, ...values]);
}

/** The series with one more column of live figures, and without those before `since`. */
export function withLive(series, time, values, since) {
  const [times] = series;
  const rounded = Math.round(time);
  if (times.length && rounded <= times[times.length - 1]) return series;
  let from = 0;
  while (from < times.length && times[from] < since) from++;
  return [[...times.slice(from), rounded], ...series.slice(1).map((column, index) => [...column.slice(from), values[index] ?? null])];
}

/** Undefined values are bridged by the line. Where nothing was measured for a while, a column of nulls breaks it. */
function separated([times, ...columns]) {
  if (times.length < 3) return [times, ...columns];
  const distances = times.slice(1).map((time, index) => time - times[index]).sort((a, b) => a - b);
  const usual = Math.max(1, distances[distances.length >> 1]);
  const result = [[], ...columns.map(() => [])];
  times.forEach((time, index) => {
    if (index && time - times[index - 1] > GAP * usual && time - times[index - 1] > 5) {
      result[0].push(times[index - 1] + usual);
      columns.forEach((_, column) => result[column + 1].push(null));
    }
    result[0].push(time);
    columns.forEach((values, column) => result[column + 1].push(values[index]));
  });
  return result;
}
