namespace RawDiffusion.Verification.Rows;

internal static class SoftmaxRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
