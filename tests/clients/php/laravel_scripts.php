<?php
// What Laravel's scripts answer at a server: laravel_scripts.php HOST PORT, or the
// path of a unix socket and 0. The texts are the library's own, the times made up.

use Illuminate\Cache\RedisStore;
use Illuminate\Redis\Limiters\ConcurrencyLimiter;
use Illuminate\Redis\Limiters\DurationLimiter;

require '/usr/share/php/Illuminate/Redis/autoload.php';
require '/usr/share/php/Illuminate/Cache/autoload.php';

/** A script of a limiter's. */
function text(string $class, string $method): string
{
    $limiter = new $class(null, '', 0, 0);
    return (new ReflectionMethod($class, $method))->invoke($limiter);
}

/** The script that the cache sends for `add`. */
final class Ear
{
    public string $heard = '';

    public function connection(): self
    {
        return $this;
    }

    public function eval(string $script, mixed ...$rest): void
    {
        $this->heard = $script;
    }
}

final class Factory extends Illuminate\Redis\RedisManager
{
    public function __construct(private Ear $ear)
    {
    }

    public function connection($name = null)
    {
        return $this->ear;
    }
}

$ear = new Ear();
(new RedisStore(new Factory($ear)))->add('k', 'v', 1);

$redis = new Redis();
$redis->connect($argv[1], (int) $argv[2]);
$ask = function (string $script, array $keys, array $arguments) use ($redis): void {
    $redis->clearLastError();
    $reply = $redis->eval($script, [...$keys, ...$arguments], count($keys));
    $failed = $redis->getLastError() !== null;
    echo json_encode([...$keys, ...$arguments]), ': ', $failed ? 'error' : json_encode($reply), "\n";
};
$look = function (string $key) use ($redis): void {
    $ttl = $redis->ttl($key);
    $fields = $redis->hGetAll($key);
    is_array($fields) && ksort($fields);
    echo json_encode([$key, $redis->get($key), $fields, $ttl > 0 ? intdiv($ttl + 9, 10) : $ttl]), "\n";
};

$limit = text(DurationLimiter::class, 'luaScript');
$left = text(DurationLimiter::class, 'tooManyAttemptsLuaScript');
$lasts = [['1000.5', 1000, 60, 2], ['1001.25', 1001, 60, 2], ['1030', 1030, 60, 2]];
$later = [['1060', 1060, 60, 2], ['1060.0001', 1060, 60, 2], ['999', 999, 60, 1], ['1060', 1060, 60, 0]];
foreach ([...$lasts, ...$later, ['x', 'y', 'z', 1], ['1061', 1061, 0, 5], ['2000', 2000, 0, 5]] as $asked) {
    $ask($left, ['often'], $asked);
    $ask($limit, ['often'], $asked);
    $look('often');
}
$redis->set('text', 'x');
$redis->hSet('half', 'start', '1');
foreach (['text', 'half'] as $key) {
    $ask($limit, [$key], ['1000.5', 1000, 60, 2]);
    $ask($left, [$key], ['1000.5', 1000, 60, 2]);
}

$take = text(ConcurrencyLimiter::class, 'lockScript');
$give = text(ConcurrencyLimiter::class, 'releaseScript');
$redis->hSet('slot3', 'a', 'hash is no text');
foreach (['one', 'two', 'three', 'four'] as $id) {
    $ask($take, ['slot1', 'slot2', 'slot3'], ['slot', 100, $id]);
}
array_map($look, ['slot1', 'slot2', 'slot3']);
$ask($give, ['slot2'], ['one']);
$ask($give, ['slot2'], ['two']);
$ask($take, ['slot1', 'slot2', 'slot3'], ['slot', 0, 'five']);
$ask($take, ['slot1', 'slot2', 'slot3'], ['slot', 'x', 'five']);
$ask($take, ['slot1', 'slot2', 'slot3'], ['slot', 100, 'five']);

foreach ([['v', 100], ['w', 200], ['x', 0]] as $asked) {
    $ask($ear->heard, ['added'], $asked);
    $look('added');
}
$ask($ear->heard, ['never'], ['x', 0]);
$ask($ear->heard, ['half'], ['x', 100]);
