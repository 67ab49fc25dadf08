<?php
// What each entry of the application needs: paths, the log, the queue.

declare(strict_types=1);

namespace App;

const ROOT = __DIR__ . '/..';
const QUEUES = ROOT . '/storage/framework/cache/queues';

require __DIR__ . '/queue.php';
require __DIR__ . '/horizon.php';
require __DIR__ . '/reverb.php';

ini_set('log_errors', '1');

/** A line of the log, in the form that cbox-init takes the level from. */
function say(string $level, string $message): void
{
    fwrite(PHP_SAPI === 'cli' ? STDERR : fopen('php://stderr', 'w'), "[$level] $message\n");
}

/** @return array{string, array<string, string>} the command and its options */
function arguments(array $argv): array
{
    $options = [];
    foreach (array_slice($argv, 2) as $word) {
        [$name, $value] = array_pad(explode('=', ltrim($word, '-'), 2), 2, '');
        $options[$name] = $value;
    }
    return [$argv[1] ?? '', $options];
}

function usage(string $command): int
{
    say('error', "there is no command '$command'");
    return 1;
}

function migrate(): int
{
    file_put_contents(ROOT . '/storage/framework/cache/migrated', date(DATE_ATOM));
    say('info', 'Nothing to migrate');
    return 0;
}

function optimize(): int
{
    say('info', 'Nothing to cache');
    return 0;
}

function schedule(): int
{
    dispatch('default', 'report');
    say('info', 'Scheduled: report');
    return 0;
}

/** Whether a signal has asked this process to end. */
function stopping(?bool $now = null): bool
{
    static $stopping = false;
    return $stopping = $now ?? $stopping;
}

function stop_on_signals(): void
{
    pcntl_async_signals(true);
    foreach ([SIGTERM, SIGINT, SIGQUIT] as $signal) {
        pcntl_signal($signal, static fn () => stopping(true));
    }
}
