mod front;

fn main() {}
