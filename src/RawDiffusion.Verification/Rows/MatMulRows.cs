namespace RawDiffusion.Verification.Rows;

internal static class MatMulRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
