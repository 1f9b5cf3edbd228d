<?php
// A shop whose sessions PHP's own handler keeps, where php.ini says:
// php -d session.save_handler=... -d session.save_path=... -S ADDRESS shop.php

session_start();
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
switch ($path) {
    case '/login':
        session_regenerate_id(true);
        $_SESSION = ['user' => $_GET['user'], 'cart' => []];
        break;
    case '/add':
        $_SESSION['cart'][] = $_GET['item'];
        break;
    case '/count':
        // Of two requests that are here at once, one would be lost.
        $count = $_SESSION['count'] ?? 0;
        usleep(5000);
        $_SESSION['count'] = $count + 1;
        break;
    case '/logout':
        session_destroy();
        $_SESSION = [];
        break;
}
header('Content-Type: text/plain');
if ($path === '/count') {
    echo $_SESSION['count'];
} elseif (isset($_SESSION['user'])) {
    echo $_SESSION['user'], ': ', implode(' ', $_SESSION['cart']);
} else {
    echo 'nobody';
}
