using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

internal static class Check
{
    /// <summary>Fails with the whole message; xunit would shorten the string of an Assert.Null.</summary>
    public static void Passes(CheckResult result)
    {
        if (result.Failure is not null)
            Assert.Fail(result.Failure);
    }
}
