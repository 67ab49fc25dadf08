// The next runs of schedules as days and hours. A process that runs often is counted, not listed.

const HOUR_MS = 3600_000;

/** The local midnights of `count` days from the day of `time` on, and the one after them. Days may have 23 or 25 hours. */
export function days(time, count) {
  const first = new Date(time);
  first.setHours(0, 0, 0, 0);
  return Array.from({ length: count + 1 }, (_, index) => {
    const day = new Date(first);
    day.setDate(first.getDate() + index);
    return day.getTime();
  });
}

/**
 * A grid of `count` days by 24 hours. `runs` are `{process, time}` with milliseconds.
 *
 * Returns `{days: [{start, end, total, hours: [cell × 24]}], most}`. A cell has `total` and `groups`, one a process:
 * `{process, count, times}`, the fullest first. `most` is the largest total of a cell.
 */
export function grid(runs, start, count) {
  const midnights = days(start, count);
  const result = [];
  let most = 0;
  const columns = midnights.slice(0, -1).map((from, index) => ({
    start: from,
    end: midnights[index + 1],
    total: 0,
    hours: Array.from({ length: 24 }, () => new Map()),
  }));
  for (const run of runs) {
    const column = columns.find((day) => run.time >= day.start && run.time < day.end);
    if (!column) continue;
    column.total++;
    const cell = column.hours[new Date(run.time).getHours()];
    const group = cell.get(run.process);
    if (group) {
      group.count++;
      group.times.push(run.time);
    } else cell.set(run.process, { process: run.process, count: 1, times: [run.time] });
  }
  for (const column of columns) {
    const hours = column.hours.map((cell, hour) => {
      const groups = [...cell.values()].sort((a, b) => b.count - a.count || a.times[0] - b.times[0]);
      const total = groups.reduce((sum, group) => sum + group.count, 0);
      most = Math.max(most, total);
      return { hour, total, groups };
    });
    result.push({ ...column, hours });
  }
  return { days: result, most };
}

/** How full a cell is, 0 to 4, on a logarithmic scale: one run is 1, the fullest cell 4. */
export function fullness(total, most) {
  if (!total) return 0;
  if (most <= 4) return Math.min(4, total);
  return 1 + Math.round((3 * Math.log(total)) / Math.log(most));
}

/**
 * The runs as a list for reading: `{process, time, count, until}`. Runs of one process that follow each other at the
 * same distance of at most an hour, three or more, are one entry with `every` in milliseconds.
 */
export function agenda(runs) {
  const byProcess = new Map();
  for (const run of [...runs].sort((a, b) => a.time - b.time)) {
    if (!byProcess.has(run.process)) byProcess.set(run.process, []);
    byProcess.get(run.process).push(run.time);
  }
  const entries = [];
  for (const [process, times] of byProcess) {
    for (let from = 0; from < times.length; ) {
      const every = times[from + 1] - times[from];
      let upto = from + 1;
      while (every <= HOUR_MS && times[upto + 1] - times[upto] === every) upto++;
      if (every <= HOUR_MS && upto - from >= 2) {
        entries.push({ process, time: times[from], until: times[upto], count: upto - from + 1, every });
        from = upto + 1;
      } else entries.push({ process, time: times[from], until: times[from++], count: 1, every: 0 });
    }
  }
  return entries.sort((a, b) => a.time - b.time || (a.process < b.process ? -1 : 1));
}

/** A duration as people say it: 45 s, 5 min, 2 h, 3 d. */
export function span(ms) {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 90 && seconds !== 60) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** The processes of `names`, with the time of their next run, and `every` where the known runs have one distance. */
export function frequent(runs, names) {
  return names.flatMap((process) => {
    const known = runs.filter((run) => run.process === process).map(({ time }) => time);
    if (!known.length) return [];
    const every = known[1] - known[0];
    const regular = known.every((time, index) => index === 0 || time - known[index - 1] === every);
    return [{ process, time: known[0], every: regular ? every : 0 }];
  });
}
