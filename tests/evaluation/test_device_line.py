from pdm.machine.device import choose_device, describe_device


def test_the_first_line_names_the_device(run, caplog):
    with caplog.at_level("INFO", "pdm"):
        run()
    assert caplog.messages[0] == describe_device(choose_device())
