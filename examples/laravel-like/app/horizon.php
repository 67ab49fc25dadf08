<?php
// A master with workers, which it replaces when they end; as Laravel Horizon does.

declare(strict_types=1);

namespace App;

const HORIZON_PID = ROOT . '/storage/framework/cache/horizon.pid';

function horizon(int $count): int
{
    stop_on_signals();
    file_put_contents(HORIZON_PID, (string) getmypid());
    say('info', "Horizon started successfully with $count workers");
    $workers = [];
    while (!stopping()) {
        while (count($workers) < $count) {
            $pid = pcntl_fork();
            if ($pid === 0) {
                exit(work('horizon'));
            }
            $workers[$pid] = true;
        }
        while (($pid = pcntl_wait($status, WNOHANG)) > 0) {
            unset($workers[$pid]);
        }
        usleep(50_000);
    }
    foreach (array_keys($workers) as $pid) {
        posix_kill($pid, SIGTERM);
        pcntl_waitpid($pid, $status);
    }
    @unlink(HORIZON_PID);
    say('info', 'Horizon has ended; all workers are done');
    return 0;
}

/** Ask the master to end its workers and itself: for a pre-stop hook. */
function terminate_horizon(): int
{
    $pid = (int) @file_get_contents(HORIZON_PID);
    if ($pid > 0 && posix_kill($pid, SIGTERM)) {
        say('info', "Sent SIGTERM to Horizon ($pid)");
    }
    return 0;
}
