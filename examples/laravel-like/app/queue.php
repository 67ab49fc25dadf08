<?php
// A queue of files. Whoever can rename a job has it.

declare(strict_types=1);

namespace App;

function dispatch(string $queue, string $job): string
{
    $folder = QUEUES . "/$queue";
    is_dir($folder) || @mkdir($folder, 0775, true) || is_dir($folder) || throw new \RuntimeException("no $folder");
    $name = sprintf('%s-%06d', hrtime(true), random_int(0, 999999));
    file_put_contents("$folder/$name.tmp", $job);
    rename("$folder/$name.tmp", "$folder/$name.job");
    return $name;
}

function work(string $queue, int $most = 0): int
{
    stop_on_signals();
    $id = getenv('CBOX_INIT_INSTANCE_ID') ?: (string) getmypid();
    say('info', "Processing jobs from the [$queue] queue as $id");
    for ($done = 0; !stopping() && ($most === 0 || $done < $most);) {
        if (($job = next_job($queue)) !== null) {
            perform($job, $id);
            $done++;
        } else {
            usleep(100_000);
        }
    }
    say('info', "Worker $id ended after $done jobs");
    return 0;
}

function next_job(string $queue): ?string
{
    foreach (glob(QUEUES . "/$queue/*.job") ?: [] as $file) {
        $mine = "$file." . getmypid();
        if (@rename($file, $mine)) {
            $job = (string) file_get_contents($mine);
            unlink($mine);
            return $job;
        }
    }
    return null;
}

/** A job that has begun is finished, also after the signal to stop. */
function perform(string $job, string $worker): void
{
    say('info', "Processing: $job by $worker");
    match ($job) {
        'slow' => sleep(2),
        'broken' => throw new \RuntimeException('the job is broken'),
        default => null,
    };
    say('info', "Processed: $job by $worker");
}
