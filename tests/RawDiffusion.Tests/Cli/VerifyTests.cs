using RawDiffusion.Cli;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests.Cli;

/// <summary><c>verify</c> as a process of its own, since it tells what it found on standard output.</summary>
public class VerifyTests
{
    [Fact]
    public void One_line_for_each_operation_says_how_near_it_came()
    {
        using var process = CliProcess.Start("verify", "--device", "cpu", "--operation", "softmax", "--operation", "argmax");
        var (code, error) = process.Finish();

        Assert.Equal("", error);
        Assert.Equal(0, code);
        Assert.Contains(process.Output, line => line.StartsWith("verify: ", StringComparison.Ordinal));
        foreach (string operation in OperationTable.All.Select(row => row.Operation).Where(name => name.Contains("oftmax") || name == "argMax").Distinct())
        {
            string[] columns = Assert.Single(process.Output, line => line.StartsWith(operation + " ", StringComparison.Ordinal))
                .Split(' ', StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal("ok", columns[^1]);
            Assert.InRange(double.Parse(columns[2]), 0, 1);
        }
        Assert.Matches("^cpu: ([0-9]+) of \\1 operations agree, [0-9]+ cases in [0-9.]+ s$", process.Output[^1]);
    }

    [Fact]
    public void An_operation_without_gradients_has_none_to_show()
    {
        using var process = CliProcess.Start("verify", "--device", "cpu", "--operation", "argmax");
        process.Finish();
        string line = Assert.Single(process.Output, line => line.StartsWith("argMax ", StringComparison.Ordinal));
        Assert.Equal("-", line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3]);
    }

    /// <summary>The GPU's own code, executed by the CPU and watched for hazards.</summary>
    [SkippableFact]
    public void The_emulated_device_agrees_without_a_hazard()
    {
        TestNvrtc.Require();
        using var process = CliProcess.Start("verify", "--device", "emulated:checked,seed=3,approx=1", "--operation", "softmax");
        var (code, error) = process.Finish();
        Assert.Equal("", error);
        Assert.Equal(0, code);
        Assert.Matches("^emulated: 2 of 2 operations agree, ", process.Output[^1]);
    }

    [Fact]
    public void Another_seed_means_other_inputs_of_the_same_shapes()
    {
        var row = OperationTable.All.First(row => row.Operation == "matmul" && row.Inputs[0].Shape.Count > 1);
        double[] Values(ulong seed) => CaseInputs.Make(row with { Seed = seed }, Device.Reference)[0].ToDoubleArray();
        Assert.Equal(Values(0), Values(0));
        Assert.Equal(CaseInputs.Make(row, Device.Reference)[0].ToDoubleArray(), Values(0));
        Assert.NotEqual(Values(0), Values(1));
        Assert.Equal(0, Program.Run(["verify", "--device", "cpu", "--operation", "matmul", "--seed", "1"], TextWriter.Null));
    }

    [Fact]
    public void A_device_that_computes_wrong_fails_with_the_element_and_both_values()
    {
        var wrong = OperationTable.All.First(row => row.Operation == "exp" && row.Inputs[0].Shape.Count == 7) with
        {
            Run = x => x[0].Device == Device.Reference ? x[0].Exp() : x[0].Exp() * 1.001,
        };
        var report = VerificationReport.Run([wrong], Device.Cpu);
        Assert.False(report.Passed);
        Assert.True(report.Operations[0].Output.Worst > 1);
        Assert.True(report.Operations[0].Gradients.Worst > 1);
        Assert.Contains("output on cpu: element ", Assert.Single(report.Operations[0].Failures));
    }
}
