using System.Text.Json.Nodes;
using RawDiffusion.Cli.Commands;
using RawDiffusion.Cuda;
using RawDiffusion.Tests.Kernels;
using RawDiffusion.Verification.Peers;

namespace RawDiffusion.Tests.Cli;

/// <summary>The side of the comparison with PyTorch that the published binary has; <c>benchmarks/peers/torch_gpu.py</c> is the other.</summary>
public class PeerTests
{
    [Fact]
    public void It_says_who_it_is_and_answers_questions()
    {
        var answers = Ask("cpu", """{"op":"parameters","network":"mnist"}""", """{"op":"parameters","network":"cifar"}""");
        Assert.Equal("cpu", answers[0]["device"]!.GetValue<string>());
        Assert.Equal(["fp32"], answers[0]["precisions"]!.AsArray().Select(name => name!.GetValue<string>()));
        // The counts that torch_gpu.py expects of both sides.
        Assert.Equal(1_623_169, answers[1]["parameters"]!.GetValue<long>());
        Assert.Equal(35_746_307, answers[2]["parameters"]!.GetValue<long>());
    }

    [Fact]
    public void Every_request_is_answered_with_the_time_of_each_lane()
    {
        var answers = Ask(
            "cpu",
            """{"op":"operations","operations":["matmul"],"shape":"8x8x8","precision":"fp32","seconds":0}""",
            """{"op":"operations","operations":["groupNormSilu","groupNormSiluGrad"],"shape":"2x16x8g4","precision":"fp32","seconds":0}""",
            """{"op":"toy_step","batch":4,"atOnce":2,"precision":"fp32","seconds":0}""",
            """{"op":"unet_step","network":"mnist","batch":1,"precision":"fp32","seconds":0,"warmups":0,"least":1}""",
            """{"op":"unet_sample","network":"mnist","count":1,"steps":1,"precision":"fp32","seconds":0,"warmups":0,"least":1}""");
        Assert.Equal(6, answers.Count);
        Assert.All(answers.Skip(1), answer => Assert.True(Assert.Single(answer).Value!.GetValue<double>() > 0));
    }

    [SkippableFact]
    public void A_gpu_has_a_lane_in_which_the_work_is_recorded()
    {
        TestNvrtc.Require();
        var answers = Ask(
            "emulated",
            """{"op":"operations","operations":["matmul"],"shape":"16x16x16","precision":"fp32","seconds":0}""",
            """{"op":"operations","operations":["adamwClipEma"],"shape":"64","precision":"fp32","seconds":0}""");
        Assert.All(answers.Skip(1), answer => Assert.Equal(["call by call", "recorded"], answer.Select(lane => lane.Key)));
    }

    /// <summary>In the lane of one kernel a call makes many steps, and the time is that of one.</summary>
    [SkippableFact]
    public void The_toy_also_has_a_lane_of_one_kernel()
    {
        TestNvrtc.Require();
        var answer = Ask("emulated", """{"op":"toy_step","batch":2,"atOnce":2,"precision":"fp32","seconds":0,"warmups":2,"least":1}""")[1];
        Assert.Equal(["call by call", "recorded", "one kernel"], answer.Select(lane => lane.Key));
    }

    [Theory]
    [InlineData("""{"op":"dance","precision":"fp32","seconds":0}""", "unknown operation 'dance'")]
    [InlineData("""{"op":"operations","operations":["dance"],"shape":"1","precision":"fp32","seconds":0}""", "no operation is called 'dance'")]
    [InlineData("""{"op":"unet_step","network":"lsun","batch":1,"precision":"fp32","seconds":0}""", "no network is called 'lsun'")]
    [InlineData("""{"op":"operations","operations":["matmul"],"shape":"8x8x8","precision":"bf16","seconds":0}""", "cpu does not compute in bf16")]
    public void What_cannot_be_done_is_answered_with_the_reason_and_the_next_request_is_met(string request, string reason)
    {
        var answers = Ask("cpu", request, """{"op":"operations","operations":["matmul"],"shape":"8x8x8","precision":"fp32","seconds":0}""");
        Assert.Contains(reason, answers[1]["error"]!.GetValue<string>());
        Assert.NotNull(answers[2]["call by call"]);
    }

    /// <summary>A device without memory, a kernel that was refused: no exception of one case ends the comparison of the others, and none keeps its memory.</summary>
    [Fact]
    public void A_case_that_fails_is_given_back_and_the_next_is_met()
    {
        var given = new List<string>();
        var server = new PeerServer(
            request => new PeerCase(
                [new PeerLane("lane", request["op"]!.GetValue<string>() == "fail" ? () => throw new DeviceOutOfMemoryException("cuda", 1 << 20, default, (0, 0), []) : () => { })],
                new Returned(() => given.Add(request["op"]!.GetValue<string>()))),
            null, new Dictionary<string, Func<JsonObject, JsonObject>>());
        using var replies = new StringWriter();
        server.Run(new JsonObject(), new StringReader("{\"op\":\"fail\",\"seconds\":0}\n{\"op\":\"work\",\"seconds\":0}\n"), replies);
        string[] lines = replies.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Contains("is out of memory", lines[1]);
        Assert.Contains("\"lane\":", lines[2]);
        Assert.Equal(["fail", "work"], given);
    }

    private sealed class Returned(Action told) : IDisposable
    {
        public void Dispose() => told();
    }

    private static List<JsonObject> Ask(string device, params string[] requests)
    {
        using var replies = new StringWriter();
        using var read = new StringReader(string.Join('\n', requests));
        PeerCommand.Serve(device == "cpu" ? Device.Cpu : Emulated.Plain.Device, read, replies);
        return [.. replies.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!.AsObject())];
    }
}
