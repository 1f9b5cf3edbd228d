//! tls-rustls
