<?php
// A server of WebSockets that sends back what it gets, and answers GET /up; as Laravel Reverb it is one loop.

declare(strict_types=1);

namespace App;

function reverb(string $host, int $port): int
{
    stop_on_signals();
    $server = stream_socket_server("tcp://$host:$port", $code, $error) ?: throw new \RuntimeException($error);
    say('info', "Starting server on $host:$port");
    $clients = [];
    while (!stopping()) {
        $readable = [$server, ...array_column($clients, 'socket')];
        $none = [];
        if (!@stream_select($readable, $none, $none, 1)) {
            continue;
        }
        foreach ($readable as $socket) {
            if ($socket === $server) {
                $new = @stream_socket_accept($server, 0);
                $new && $clients[(int) $new] = ['socket' => $new, 'open' => false];
                continue;
            }
            $data = fread($socket, 8192);
            $client = &$clients[(int) $socket];
            if ($data === '' || $data === false || !answer($client, $data)) {
                unset($clients[(int) $socket]);
                fclose($socket);
            }
            unset($client);
        }
    }
    say('info', 'Reverb has ended; ' . count($clients) . ' connections were open');
    return 0;
}

/** Whether the connection stays. Messages are short, and arrive whole. */
function answer(array &$client, string $data): bool
{
    if ($client['open']) {
        return echo_frame($client['socket'], $data);
    }
    if (preg_match('/^Sec-WebSocket-Key: *(\S+)/mi', $data, $found)) {
        $accept = base64_encode(sha1($found[1] . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11', true));
        $lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
        fwrite($client['socket'], implode("\r\n", [...$lines, "Sec-WebSocket-Accept: $accept", '', '']));
        return $client['open'] = true;
    }
    $body = str_starts_with($data, 'GET /up ') ? 'up' : 'not found';
    $status = $body === 'up' ? '200 OK' : '404 Not Found';
    $length = strlen($body);
    fwrite($client['socket'], "HTTP/1.1 $status\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$body");
    return false;
}

function echo_frame($socket, string $frame): bool
{
    $length = ord($frame[1] ?? "\0") & 127;
    if ((ord($frame[0]) & 15) !== 1 || $length > 125 || strlen($frame) < 6 + $length) {
        return false; // a close, or more than this example takes
    }
    $mask = substr($frame, 2, 4);
    $text = substr($frame, 6, $length) ^ str_repeat($mask, 32);
    fwrite($socket, "\x81" . chr($length) . $text);
    return true;
}
