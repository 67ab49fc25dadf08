<?php
// The front controller: every request that is not for a file comes here.

declare(strict_types=1);

require __DIR__ . '/../app/bootstrap.php';

$path = parse_url($_SERVER['REQUEST_URI'] ?? '/', PHP_URL_PATH);

header('Content-Type: text/plain; charset=utf-8');

echo match ($path) {
    '/' => "Hello from PHP " . PHP_MAJOR_VERSION . "\n",
    '/up' => "up\n",
    '/dispatch' => App\dispatch($_GET['queue'] ?? 'default', $_GET['job'] ?? 'mail') . "\n",
    '/slow' => [sleep(2), "slept\n"][1],
    '/fatal' => (new App\Missing())->method(),
    default => [http_response_code(404), "not found\n"][1],
};
