#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| clapet_fuzz::exercise::stream::stream(input));
