<?php
// Laravel's cache, its locks and its limiters: laravel.php URL-OF-A URL-OF-B
//
// Says "ready" once they are at the first node, and after the next line that it
// hears goes on at the second. The libraries are Debian's php-illuminate-redis and
// php-illuminate-cache.

use Illuminate\Cache\RedisStore;
use Illuminate\Redis\Limiters\ConcurrencyLimiter;
use Illuminate\Redis\Limiters\DurationLimiter;
use Illuminate\Redis\RedisManager;

require '/usr/share/php/Illuminate/Redis/autoload.php';
require '/usr/share/php/Illuminate/Cache/autoload.php';

function check(bool $holds, string $what): void
{
    if (!$holds) {
        throw new LogicException($what);
    }
}

/** A slot of a limiter that is asked for once. */
final class Slots extends ConcurrencyLimiter
{
    public function take(string $id): mixed
    {
        return $this->acquire($id);
    }

    public function give(string $slot, string $id): void
    {
        $this->release($slot, $id);
    }
}

[$a, $b] = array_map(function (string $url): RedisManager {
    $parts = parse_url($url);
    $node = ['host' => $parts['host'], 'port' => $parts['port'], 'password' => $parts['pass']];
    return new RedisManager(null, 'phpredis', ['default' => $node]);
}, array_slice($argv, 1));
[$first, $second] = [new RedisStore($a, 'shop'), new RedisStore($b, 'shop')];

check($first->putMany(['user' => 'ada', 'cart' => ['tea']], 600), 'two values');
check($first->add('once', 'a', 600), 'nothing was there');
check(!$second->add('once', 'b', 600) && $second->get('once') === 'a', 'it was there');
check($first->increment('count', 2) == 2, 'a counter');
$held = $first->lock('lock', 600);
check($held->get() && !$second->lock('lock', 600)->get(), 'one of two gets a lock');
$often = fn (RedisManager $node) => new DurationLimiter($node->connection(), 'often', 3, 600);
check($often($a)->acquire() && $often($b)->acquire(), 'twice of three times');
$at_once = fn (RedisManager $node) => new Slots($node->connection(), 'slots', 2, 600);
$slot = $at_once($a)->take('first');
check($slot === 'slots1', 'the first slot');
echo "ready\n";

fgets(STDIN);
try {
    $first->get('user');
    throw new LogicException('the first node still answers');
} catch (RedisException) {
}
['user' => $user, 'cart' => $cart] = $second->many(['user', 'cart']);
echo "$user: ", implode(' ', $cart), "\n";

check($second->increment('count') == 3, 'the counter goes on');
check(!$second->lock('lock', 600)->get(), 'the lock is still held');
check(!$second->lock('lock', 600)->release(), 'it is not ours');
check($second->restoreLock('lock', $held->owner())->release(), 'it is ours');
check($second->lock('lock', 600)->get(), 'it is free');
$limiter = $often($b);
check(!$limiter->tooManyAttempts() && $limiter->remaining === 1, 'once is left');
check($limiter->acquire() && $limiter->remaining === 0, 'the third time');
check(!$limiter->acquire() && $limiter->tooManyAttempts(), 'too often');
check($limiter->decaysAt > time(), 'it ends');
$slots = $at_once($b);
check($slots->take('second') === 'slots2' && !$slots->take('third'), 'as many as there are');
$slots->give('slots1', 'another');
check(!$slots->take('third'), 'it was not his');
$slots->give($slot, 'first');
check($slots->take('third') === 'slots1', 'it is free');

$second->put('cart', [...$cart, 'jam'], 600);
echo "$user: ", implode(' ', $second->get('cart')), "\n";
