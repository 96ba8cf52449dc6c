namespace RawDiffusion.Verification.Rows;

internal static class ReductionRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
