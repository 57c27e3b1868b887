//! Choices as text; which device is chosen is tested on the emulated driver.

use super::*;

#[test]
fn a_choice_reads_as_it_is_written() {
    for text in ["auto", "cpu", "cuda", "cuda:0", "cuda:12"] {
        assert_eq!(text.parse::<Choice>().unwrap().to_string(), text);
    }
    for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CUDA"] {
        let error = text.parse::<Choice>().unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{text:?} is no backend; write auto, cpu, cuda or cuda:N")
        );
    }
}

#[test]
fn the_cpu_alone_asks_for_no_device() {
    let described = backends(Choice::Cpu, Choice::Cpu).unwrap().describe();
    assert_eq!(described.len(), 1);
    assert_eq!(described[0].name, "cpu");
}
