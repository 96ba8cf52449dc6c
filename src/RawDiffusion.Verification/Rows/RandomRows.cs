namespace RawDiffusion.Verification.Rows;

internal static class RandomRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
